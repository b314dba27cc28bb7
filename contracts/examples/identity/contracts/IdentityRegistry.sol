// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title Identities of devices and organisations, with their keys and attestations.
/// @notice An identity is a name's hash with a controller account. The controller names keys that may speak for it, each
/// with an end; attesters whom the registrar admits make statements about an identity, which they can withdraw. What
/// was true at a time stays in the events.
contract IdentityRegistry {
    struct Identity {
        address controller;
        bool suspended;
        string document; // where its description is, or the description itself
    }

    struct Attestation {
        bytes32 value;
        uint64 validUntil;
    }

    error NotAllowed(address sender);
    error Unknown(bytes32 id);
    error Taken(bytes32 id);
    error InThePast(uint64 time);

    event Created(bytes32 indexed id, address indexed controller);
    event ControllerChanged(bytes32 indexed id, address indexed controller);
    event DocumentChanged(bytes32 indexed id, string document);
    event KeySet(bytes32 indexed id, address indexed key, uint64 validUntil);
    event AttesterSet(address indexed attester, bool admitted);
    event Attested(bytes32 indexed id, address indexed attester, bytes32 indexed topic, bytes32 value, uint64 validUntil);
    event Withdrawn(bytes32 indexed id, address indexed attester, bytes32 indexed topic);
    event Suspended(bytes32 indexed id, bool suspended);

    address public immutable registrar;
    mapping(bytes32 => Identity) public identities;
    mapping(address => bool) public attesters;
    mapping(bytes32 => mapping(address => uint64)) public keyValidUntil;
    mapping(bytes32 => mapping(address => mapping(bytes32 => Attestation))) public attestations;

    constructor() {
        registrar = msg.sender;
    }

    modifier onlyRegistrar() {
        if (msg.sender != registrar) revert NotAllowed(msg.sender);
        _;
    }

    modifier onlyController(bytes32 id) {
        if (identities[id].controller == address(0)) revert Unknown(id);
        if (identities[id].controller != msg.sender || identities[id].suspended) revert NotAllowed(msg.sender);
        _;
    }

    function create(bytes32 id, string calldata document) external {
        if (identities[id].controller != address(0)) revert Taken(id);
        identities[id] = Identity(msg.sender, false, document);
        emit Created(id, msg.sender);
        emit DocumentChanged(id, document);
    }

    function setController(bytes32 id, address controller) external onlyController(id) {
        if (controller == address(0)) revert NotAllowed(controller);
        identities[id].controller = controller;
        emit ControllerChanged(id, controller);
    }

    function setDocument(bytes32 id, string calldata document) external onlyController(id) {
        identities[id].document = document;
        emit DocumentChanged(id, document);
    }

    /// validUntil in seconds; 0 takes the key back.
    function setKey(bytes32 id, address key, uint64 validUntil) external onlyController(id) {
        if (validUntil != 0 && validUntil <= block.timestamp) revert InThePast(validUntil);
        keyValidUntil[id][key] = validUntil;
        emit KeySet(id, key, validUntil);
    }

    function speaksFor(bytes32 id, address key) external view returns (bool) {
        Identity storage i = identities[id];
        if (i.controller == address(0) || i.suspended) return false;
        return key == i.controller || keyValidUntil[id][key] > block.timestamp;
    }

    function setAttester(address attester, bool admitted) external onlyRegistrar {
        attesters[attester] = admitted;
        emit AttesterSet(attester, admitted);
    }

    function attest(bytes32 id, bytes32 topic, bytes32 value, uint64 validUntil) external {
        if (!attesters[msg.sender]) revert NotAllowed(msg.sender);
        if (identities[id].controller == address(0)) revert Unknown(id);
        if (validUntil <= block.timestamp) revert InThePast(validUntil);
        attestations[id][msg.sender][topic] = Attestation(value, validUntil);
        emit Attested(id, msg.sender, topic, value, validUntil);
    }

    function withdraw(bytes32 id, bytes32 topic) external {
        delete attestations[id][msg.sender][topic];
        emit Withdrawn(id, msg.sender, topic);
    }

    /// Zero unless an attester that is admitted still said so, and it has not run out.
    function attested(bytes32 id, address attester, bytes32 topic) external view returns (bytes32) {
        Attestation storage a = attestations[id][attester][topic];
        return attesters[attester] && a.validUntil > block.timestamp ? a.value : bytes32(0);
    }

    function suspend(bytes32 id, bool suspended) external onlyRegistrar {
        if (identities[id].controller == address(0)) revert Unknown(id);
        identities[id].suspended = suspended;
        emit Suspended(id, suspended);
    }
}
