// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What the scripts of this folder deploy, call, wait for and make fail.
contract Probe {
    error Refused(address by, uint256 value);

    event Stored(address indexed by, uint256 indexed key, uint256 value, string note);

    mapping(uint256 => uint256) public values;
    address public immutable owner;

    constructor(uint256 first) {
        owner = msg.sender;
        values[0] = first;
    }

    function store(uint256 key, uint256 value, string calldata note) external returns (uint256 before) {
        require(value != 13, "not thirteen");
        if (value == 14) revert Refused(msg.sender, value);
        assert(value != 15);
        before = values[key];
        values[key] = value;
        emit Stored(msg.sender, key, value, note);
    }

    function spin() external view returns (uint256 turns) {
        while (gasleft() > 1000) turns += values[turns];
    }
}
