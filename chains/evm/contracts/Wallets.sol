// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Contracts that pay, fail to pay, or only look as if they paid. Anybody may command them.

interface Erc20 {
    function transfer(address to, uint256 value) external returns (bool);
}

/// A wallet that is a contract: the payee never stands in the transaction's `to`.
contract Wallet {
    receive() external payable {}

    /// Pays by an internal call.
    function pay(address payable to, uint256 value) external payable {
        (bool paid, ) = to.call{value: value}("");
        require(paid, "pay");
    }

    /// Pays the same payee twice in one transaction.
    function payTwice(address payable to, uint256 first, uint256 second) external payable {
        this.pay(to, first);
        this.pay(to, second);
    }

    /// Pays and then undoes it, one frame down; the transaction itself succeeds.
    function payAndUndo(address payable to, uint256 value) external payable returns (bool undone) {
        try this.payThenFail(to, value) {
            return false;
        } catch {
            return true;
        }
    }

    function payThenFail(address payable to, uint256 value) external payable {
        (bool paid, ) = to.call{value: value}("");
        require(!paid, "undone");
    }

    /// Sends two token transfers in one transaction.
    function payTokenTwice(Erc20 token, address to, uint256 first, uint256 second) external {
        require(token.transfer(to, first) && token.transfer(to, second), "token");
    }

    /// Sends everything by self-destruction: no call reaches the payee.
    function destroy(address payable to) external {
        selfdestruct(to);
    }

    /// Runs the payee's code with our own value in scope: a trace shows value, nothing moves.
    function delegate(address to) external payable {
        (bool ran, ) = to.delegatecall("");
        require(ran, "delegate");
    }
}

/// Refuses every payment.
contract Reverter {
    receive() external payable {
        revert("refused");
    }
}
