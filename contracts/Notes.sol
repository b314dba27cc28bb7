// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Numbers in a list: the first version in the example of a contract's life.
contract Notes {
    event Noted(uint256 indexed index, uint256 value);

    error TooLarge(uint256 value);

    uint256[] private list;

    function add(uint256 value) external {
        if (value > 1_000_000) revert TooLarge(value);
        emit Noted(list.length, value);
        list.push(value);
    }

    function noteAt(uint256 index) external view returns (uint256 value) {
        return list[index];
    }

    function count() external view returns (uint256 number) {
        return list.length;
    }
}
