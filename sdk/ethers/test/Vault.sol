// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What the tests of the client libraries talk to: types, events, each kind of failure.
contract Vault {
    struct Entry {
        string note;
        uint256[] amounts;
    }

    error TooMuch(uint256 asked, uint256 held);

    event Put(address indexed who, string indexed tag, uint256 amount);

    mapping(address => uint256) public held;
    Entry[] private entries;
    uint8 public immutable cap;

    constructor(uint8 limit) payable {
        require(limit > 0, "a cap above 0");
        cap = limit;
    }

    function put(string calldata tag, uint256 amount) external returns (uint256) {
        held[msg.sender] += amount;
        emit Put(msg.sender, tag, amount);
        return held[msg.sender];
    }

    function take(uint256 amount) external {
        if (amount > held[msg.sender]) revert TooMuch(amount, held[msg.sender]);
        held[msg.sender] -= amount;
    }

    function record(Entry[] calldata more) external {
        for (uint256 i; i < more.length; ++i) entries.push(more[i]);
    }

    function all() external view returns (Entry[] memory) {
        return entries;
    }

    function refuse(string calldata why) external pure {
        require(false, why);
    }

    function divide(uint256 a, uint256 b) external pure returns (uint256) {
        return a / b;
    }
}
