// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Sandbox tokens. Anybody may mint: nothing here is worth anything, and nothing here may leave a
// local node. Each token after the first misbehaves in one way the reader must survive.

/// The least an ERC-20 must do.
contract SandboxToken {
    string public name;
    string public symbol;
    uint8 public decimals;
    uint256 public totalSupply;
    mapping(address => uint256) public balances;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory name_, string memory symbol_, uint8 decimals_) {
        name = name_;
        symbol = symbol_;
        decimals = decimals_;
    }

    function balanceOf(address owner) external view virtual returns (uint256) {
        return balances[owner];
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balances[to] += value;
        emit Transfer(address(0), to, value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        return move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        // A zero value needs no allowance: this is how poisoning logs are made on real tokens.
        require(allowance[from][msg.sender] >= value, "allowance");
        allowance[from][msg.sender] -= value;
        return move(from, to, value);
    }

    function move(address from, address to, uint256 value) internal virtual returns (bool) {
        require(balances[from] >= value, "balance");
        balances[from] -= value;
        balances[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}

/// Announces transfers that never happen.
contract LyingToken is SandboxToken {
    constructor() SandboxToken("Lying Dollar", "USDC", 6) {}

    function move(address from, address to, uint256 value) internal override returns (bool) {
        emit Transfer(from, to, value);
        return true;
    }
}

/// Keeps one per cent of every transfer. Honest about it in the log, or not.
contract FeeToken is SandboxToken {
    bool public announcesGross;

    constructor(bool announcesGross_) SandboxToken("Fee Dollar", "USDC", 6) {
        announcesGross = announcesGross_;
    }

    function move(address from, address to, uint256 value) internal override returns (bool) {
        require(balances[from] >= value, "balance");
        uint256 net = value - value / 100;
        balances[from] -= value;
        balances[to] += net;
        balances[address(this)] += value - net;
        emit Transfer(from, to, announcesGross ? value : net);
        if (value != net) {
            emit Transfer(from, address(this), value - net);
        }
        return true;
    }
}
