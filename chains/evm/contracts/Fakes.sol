// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "./Tokens.sol";

// Contracts made to deceive whoever reads the chain. Anybody may command them.

/// Answers `false` instead of moving anything. Announces the transfer all the same, or not.
contract RefusingToken is SandboxToken {
    bool public announces;

    constructor(bool announces_) SandboxToken("Refusing Dollar", "USDC", 6) {
        announces = announces_;
    }

    function move(address from, address to, uint256 value) internal override returns (bool) {
        if (announces) {
            emit Transfer(from, to, value);
        }
        return false;
    }
}

/// Says whatever it is told to, in logs of any shape, and hands out balances as it is told to.
contract TalkingToken is SandboxToken {
    constructor() SandboxToken("Talking Dollar", "USDC", 6) {}

    /// Gives `gain` to `to`, then logs. That something was gained leaves the log as the only
    /// reason to refuse it.
    function say(address to, uint256 gain, bytes32[] memory topics, bytes memory data) public {
        balances[to] += gain;
        uint256 count = topics.length;
        assembly ("memory-safe") {
            let at := add(data, 32)
            let size := mload(data)
            let first := mload(add(topics, 32))
            let second := mload(add(topics, 64))
            let third := mload(add(topics, 96))
            let fourth := mload(add(topics, 128))
            switch count
            case 0 { log0(at, size) }
            case 1 { log1(at, size, first) }
            case 2 { log2(at, size, first, second) }
            case 3 { log3(at, size, first, second, third) }
            default { log4(at, size, first, second, third, fourth) }
        }
    }

    /// Says it, and undoes everything one frame down; the transaction itself succeeds.
    function sayAndUndo(address to, uint256 gain, bytes32[] memory topics, bytes memory data)
        external
    {
        try this.sayAndFail(to, gain, topics, data) {
            revert("not undone");
        } catch {}
    }

    /// Says it, and fails.
    function sayAndFail(address to, uint256 gain, bytes32[] memory topics, bytes memory data)
        external
    {
        say(to, gain, topics, data);
        revert("unsaid");
    }

    /// Takes everything away again without a word, as an issuer with a blacklist can.
    function seize(address from) external {
        balances[from] = 0;
    }
}

/// Runs another contract's code as its own: what that code logs, this contract says.
contract Puppet {
    function borrow(address code, bytes calldata input) external payable {
        (bool ran, ) = code.delegatecall(input);
        require(ran, "borrow");
    }
}
