// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// The chain's governance, built into every node at 0x0000000000000000000000000000000000001001.
///
/// Anybody, also a contract, may read. A change is a transaction of an administrator, sent to this address directly.
/// With a threshold of one it happens at once and returns 0; with a higher one it becomes a proposal, and its number
/// is returned: it happens with the last approval that is needed, or is void after its last height.
///
/// A change of the validators, or of a parameter of consensus, starts a new epoch: it takes effect 17 blocks after the
/// one that holds it, and until then no other such change is taken. `key` is a node's public key X||Y, 64 bytes.
interface Governance {
    event EpochScheduled(uint64 indexed epoch, uint64 firstHeight);
    event ValidatorAdded(bytes key, string name, uint32 weight);
    event ValidatorRemoved(bytes key);
    event WeightChanged(bytes key, uint32 weight);
    event ObserverAdded(bytes key, string name);
    event ObserverRemoved(bytes key);
    event ParameterChanged(string name, uint64 value);
    event AdministratorAdded(address account);
    event AdministratorRemoved(address account);
    event ThresholdChanged(uint32 threshold);
    event Proposed(uint64 indexed id, address proposer, uint64 lastHeight, bytes call);
    event Approved(uint64 indexed id, address account);
    event Executed(uint64 indexed id);
    event Withdrawn(uint64 indexed id);

    /// height and blockHash are what the newcomer's own ledger holds: one of the last 256 blocks of the chain, as a
    /// sign that it is in sync and can vote from the first block of its epoch on.
    function addValidator(bytes calldata key, string calldata name, uint32 weight, uint64 height, bytes32 blockHash)
        external
        returns (uint64 proposal);
    function removeValidator(bytes calldata key) external returns (uint64 proposal);
    function setWeight(bytes calldata key, uint32 weight) external returns (uint64 proposal);
    function addObserver(bytes calldata key, string calldata name) external returns (uint64 proposal);
    function removeObserver(bytes calldata key) external returns (uint64 proposal);
    function promoteObserver(bytes calldata key, uint32 weight, uint64 height, bytes32 blockHash)
        external
        returns (uint64 proposal);
    function demoteValidator(bytes calldata key) external returns (uint64 proposal);
    /// block_interval_ms, empty_block_ms, block_gas_limit, block_tx_max; view_timeout_ms and rotate_every by an epoch.
    function setParameter(string calldata name, uint64 value) external returns (uint64 proposal);
    function addAdministrator(address account) external returns (uint64 proposal);
    function removeAdministrator(address account) external returns (uint64 proposal);
    function setThreshold(uint32 threshold) external returns (uint64 proposal);
    /// A change of the registry of contracts (Registry.sol) by the administrators: `data` is the call that it takes. The
    /// registry comes here by itself with an administrator's call that needs their authority.
    function callRegistry(bytes calldata data) external returns (uint64 proposal);
    function approve(uint64 id) external returns (bool executed);
    function withdraw(uint64 id) external;

    /// Of the epoch that rules the running block.
    function validators()
        external
        view
        returns (uint64 epoch, uint64 firstHeight, bytes[] memory keys, string[] memory names, uint32[] memory weights);
    /// The epoch that is scheduled; scheduled is false and the rest empty when none is.
    function pending()
        external
        view
        returns (
            bool scheduled,
            uint64 epoch,
            uint64 firstHeight,
            bytes[] memory keys,
            string[] memory names,
            uint32[] memory weights
        );
    function observers() external view returns (bytes[] memory keys, string[] memory names);
    function administrators() external view returns (address[] memory accounts, uint32 threshold);
    function parameter(string calldata name) external view returns (uint64 value);
    function proposals() external view returns (uint64[] memory ids, uint64[] memory lastHeights, uint32[] memory approvals);
    function proposal(uint64 id)
        external
        view
        returns (address proposer, uint64 lastHeight, address[] memory approvals, bytes memory call);
}
