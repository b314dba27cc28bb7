// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title The way of goods through several hands.
/// @notice An item has one holder. Holders add steps (what was done, with the digest of its record), hand the item over,
/// which counts when the receiver accepts, and make new items out of old ones, which then are used up. From any item the
/// whole way back can be read.
contract Traceability {
    struct Item {
        address holder;
        address next; // to whom it was offered; zero: to nobody
        bool consumed;
        bytes32[] sources;
        uint32 steps;
    }

    error NotHolder(bytes32 item, address sender);
    error Unknown(bytes32 item);
    error Exists(bytes32 item);
    error Consumed(bytes32 item);
    error NotOffered(bytes32 item, address sender);
    error TooMany(uint256 sources);

    event Made(bytes32 indexed item, address indexed holder, bytes32[] sources);
    event Step(bytes32 indexed item, uint32 indexed number, address indexed by, string what, bytes32 digest);
    event Offered(bytes32 indexed item, address indexed from, address indexed to);
    event Accepted(bytes32 indexed item, address indexed from, address indexed to);

    uint256 public constant SOURCES_MAX = 32;
    mapping(bytes32 => Item) private items;

    function make(bytes32 item, bytes32[] calldata sources) external {
        if (items[item].holder != address(0)) revert Exists(item);
        if (sources.length > SOURCES_MAX) revert TooMany(sources.length);
        for (uint256 i; i < sources.length; ++i) held(sources[i]).consumed = true;
        Item storage made = items[item];
        made.holder = msg.sender;
        made.sources = sources;
        emit Made(item, msg.sender, sources);
    }

    function step(bytes32 item, string calldata what, bytes32 digest) external {
        Item storage i = held(item);
        emit Step(item, ++i.steps, msg.sender, what, digest);
    }

    function offer(bytes32 item, address to) external {
        held(item).next = to;
        emit Offered(item, msg.sender, to);
    }

    function accept(bytes32 item) external {
        Item storage i = items[item];
        if (i.holder == address(0)) revert Unknown(item);
        if (i.consumed) revert Consumed(item);
        if (i.next != msg.sender) revert NotOffered(item, msg.sender);
        emit Accepted(item, i.holder, msg.sender);
        i.holder = msg.sender;
        i.next = address(0);
    }

    function get(bytes32 item) external view returns (Item memory) {
        if (items[item].holder == address(0)) revert Unknown(item);
        return items[item];
    }

    function held(bytes32 item) private view returns (Item storage i) {
        i = items[item];
        if (i.holder == address(0)) revert Unknown(item);
        if (i.holder != msg.sender) revert NotHolder(item, msg.sender);
        if (i.consumed) revert Consumed(item);
    }
}
