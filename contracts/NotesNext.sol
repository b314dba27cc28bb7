// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What the next version reads of the one before. `view` makes Solidity read by STATICCALL, which a superseded contract
/// answers.
interface NotesBefore {
    function noteAt(uint256 index) external view returns (uint256 value);
    function count() external view returns (uint256 number);
}

/// The next version: it takes over what the old one holds, in bounded steps, and sums it up.
contract NotesNext {
    event Noted(uint256 indexed index, uint256 value);

    uint256[] private list;
    uint256 public sum;
    uint256 private migrated;

    function add(uint256 value) public {
        emit Noted(list.length, value);
        list.push(value);
        sum += value;
    }

    function noteAt(uint256 index) external view returns (uint256 value) {
        return list[index];
    }

    function count() external view returns (uint256 number) {
        return list.length;
    }

    function oldAt(address old, uint256 index) external view returns (uint256 value) {
        return NotesBefore(old).noteAt(index);
    }

    /// The convention of `ridge contract migrate`: from cursor on, at most limit items; 0 when there are no more.
    function migrate(address old, uint256 cursor, uint256 limit) external returns (uint256 next) {
        require(cursor == migrated, "not the next step");
        uint256 end = NotesBefore(old).count();
        next = cursor + limit < end ? cursor + limit : end;
        for (uint256 i = cursor; i < next; ++i) add(NotesBefore(old).noteAt(i));
        migrated = next;
        if (next == end) next = 0;
    }
}
