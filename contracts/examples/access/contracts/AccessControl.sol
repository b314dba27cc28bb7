// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title Who may do what on which resource, decided on the chain and enforced at the edge.
/// @notice Roles hold permissions on resources; accounts hold roles, each until a time. A device asks `allowed` before it
/// acts and records what it did with `use`, so that who did what, and by which role, stands in the events.
contract AccessControl {
    error NotAllowed(address sender);
    error InThePast(uint64 time);

    event Granted(address indexed account, bytes32 indexed role, uint64 validUntil);
    event Revoked(address indexed account, bytes32 indexed role);
    event Permitted(bytes32 indexed role, bytes32 indexed resource, bytes32 indexed action, bool permitted);
    event Used(address indexed account, bytes32 indexed role, bytes32 indexed resource, bytes32 action);
    event AdministratorSet(address indexed account, bool administers);

    mapping(address => bool) public administrators;
    mapping(address => mapping(bytes32 => uint64)) public roleValidUntil;
    mapping(bytes32 => mapping(bytes32 => mapping(bytes32 => bool))) public permitted;
    uint256 public administratorCount;

    constructor() {
        administrators[msg.sender] = true;
        administratorCount = 1;
        emit AdministratorSet(msg.sender, true);
    }

    modifier onlyAdministrator() {
        if (!administrators[msg.sender]) revert NotAllowed(msg.sender);
        _;
    }

    /// The last administrator stays.
    function setAdministrator(address account, bool administers) external onlyAdministrator {
        if (administrators[account] == administers) return;
        if (!administers && administratorCount == 1) revert NotAllowed(account);
        administrators[account] = administers;
        administratorCount = administers ? administratorCount + 1 : administratorCount - 1;
        emit AdministratorSet(account, administers);
    }

    function grant(address account, bytes32 role, uint64 validUntil) external onlyAdministrator {
        if (validUntil <= block.timestamp) revert InThePast(validUntil);
        roleValidUntil[account][role] = validUntil;
        emit Granted(account, role, validUntil);
    }

    function revoke(address account, bytes32 role) external onlyAdministrator {
        delete roleValidUntil[account][role];
        emit Revoked(account, role);
    }

    function permit(bytes32 role, bytes32 resource, bytes32 action, bool yes) external onlyAdministrator {
        permitted[role][resource][action] = yes;
        emit Permitted(role, resource, action, yes);
    }

    function allowed(address account, bytes32 role, bytes32 resource, bytes32 action) public view returns (bool) {
        return roleValidUntil[account][role] > block.timestamp && permitted[role][resource][action];
    }

    function use(bytes32 role, bytes32 resource, bytes32 action) external {
        if (!allowed(msg.sender, role, resource, action)) revert NotAllowed(msg.sender);
        emit Used(msg.sender, role, resource, action);
    }
}
