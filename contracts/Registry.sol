// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// The chain's registry of contracts, built into every node at 0x0000000000000000000000000000000000001002.
///
/// A name stands for versions 1, 2, …, each with an address and a storage of its own; the newest is active. Anybody,
/// also a contract, may read. A change is a transaction sent to this address directly.
///
/// Status of a contract
///   0 active
///   1 frozen      runs only where nothing can be changed: in a static call, or an eth_call
///   2 superseded  by a newer version: the same, but others may delegate to its code
///   3 revoked     for good: no call enters it, by whatever operation; its code and storage stay to be read
/// A call that is refused fails with Error(string) and gives its gas back. The status counts from the transaction that
/// sets it on, also for those behind it in the same block.
///
/// Who may: the owner of a name upgrades, freezes, unfreezes, revokes and hands over. The administrators may all that but
/// upgrade; their call goes through the chain's governance, so with a threshold above one it becomes a proposal there
/// (`proposal` is then its number, else 0). What administrators froze only they unfreeze. `version` 0 is the whole name.
///
/// Who may create contracts, here and by ordinary transactions, says the policy:
///   0 anybody   1 deployers and administrators   2 administrators
///   3 anybody, but only init code (with its arguments) whose SM3 digest the administrators approved, once each
/// Contracts that contracts create are not asked for: who may create a factory decides on what it makes.
///
/// Names are 1 to 64 letters, digits or . _ - and begin with a letter or digit. A name has at most 256 versions; lists
/// give at most 100 items. `abiDigest` is SM3 of the ABI as the owner publishes it, or zero.
interface Registry {
    event Deployed(string indexed nameHash, address indexed contractAddress, string name, uint32 version, address owner, bytes32 abiDigest);
    event Registered(string indexed nameHash, address indexed contractAddress, string name, address owner, bytes32 abiDigest);
    event Superseded(string indexed nameHash, address indexed contractAddress, string name, uint32 version);
    /// Of a contract without a name: the name is empty and the version 0.
    event Frozen(string indexed nameHash, address indexed contractAddress, string name, uint32 version, bool byAdministrators);
    event Unfrozen(string indexed nameHash, address indexed contractAddress, string name, uint32 version, bool byAdministrators);
    event Revoked(string indexed nameHash, address indexed contractAddress, string name, uint32 version, bool byAdministrators);
    event OwnershipTransferred(string indexed nameHash, string name, address from, address to);
    event DeployPolicyChanged(uint8 policy);
    event DeployerAdded(address account);
    event DeployerRemoved(address account);
    event CodeApproved(bytes32 initCodeDigest);
    event CodeDisapproved(bytes32 initCodeDigest);

    /// Creates the contract as the caller: it sees the caller as msg.sender, and its address follows Ethereum's CREATE
    /// from the caller and the transaction's nonce. All or nothing.
    function deploy(string calldata name, bytes calldata initCode, bytes32 abiDigest)
        external
        payable
        returns (uint32 version, address contractAddress);
    /// The constructor still finds the old version active; it is superseded when the new one is there.
    function upgrade(string calldata name, bytes calldata initCode, bytes32 abiDigest)
        external
        payable
        returns (uint32 version, address contractAddress);
    /// Names a contract that an ordinary transaction of the caller with that nonce created.
    function register(string calldata name, address contractAddress, uint64 nonce, bytes32 abiDigest) external;
    /// By the administrators, for any other contract.
    function registerFor(string calldata name, address contractAddress, address owner, bytes32 abiDigest)
        external
        returns (uint64 proposal);
    function freeze(string calldata name, uint32 version) external returns (uint64 proposal);
    function unfreeze(string calldata name, uint32 version) external returns (uint64 proposal);
    function revoke(string calldata name, uint32 version) external returns (uint64 proposal);
    function transferOwnership(string calldata name, address newOwner) external returns (uint64 proposal);

    /// By the administrators: contracts without a name, and who may create.
    function freezeContract(address contractAddress) external returns (uint64 proposal);
    function unfreezeContract(address contractAddress) external returns (uint64 proposal);
    function revokeContract(address contractAddress) external returns (uint64 proposal);
    function setDeployPolicy(uint8 policy) external returns (uint64 proposal);
    function addDeployer(address account) external returns (uint64 proposal);
    function removeDeployer(address account) external returns (uint64 proposal);
    function approveCode(bytes32 initCodeDigest) external returns (uint64 proposal);
    function disapproveCode(bytes32 initCodeDigest) external returns (uint64 proposal);

    /// The active version's address.
    function resolve(string calldata name) external view returns (address contractAddress);
    function contractOf(string calldata name)
        external
        view
        returns (address owner, uint32 active, uint32 versionCount, address contractAddress, uint8 status);
    function versionOf(string calldata name, uint32 version)
        external
        view
        returns (address contractAddress, uint8 status, bytes32 abiDigest, bytes32 codeHash, address deployer, uint64 height);
    function versions(string calldata name, uint32 from, uint32 limit)
        external
        view
        returns (address[] memory addresses, uint8[] memory statuses, bytes32[] memory abiDigests, uint64[] memory heights);
    function nameOf(address contractAddress) external view returns (string memory name, uint32 version);
    function statusOf(address contractAddress) external view returns (uint8 status);
    function nameCount() external view returns (uint64 count);
    function names(uint64 from, uint32 limit) external view returns (string[] memory list);
    function deployPolicy() external view returns (uint8 policy);
    function mayDeploy(address account) external view returns (bool may);
    function deployers(uint32 from, uint32 limit) external view returns (address[] memory list);
    function isCodeApproved(bytes32 initCodeDigest) external view returns (bool approved);
}
