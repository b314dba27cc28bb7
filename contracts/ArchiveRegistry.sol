// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What the main chain keeps of every edge chain: a list of entries that only grows.
///
/// The cloud's own key creates it as the first transaction of the main chain (nonce 0), so its address follows from the
/// main chain's genesis, and its code can be proven there. Nothing here can be changed or taken back, by anybody.
///
/// Entry i of a chain has the digest
///   keccak256(chain (8) ‖ i (8) ‖ kind (1) ‖ block number (8) ‖ block time (8) ‖ digest of entry i-1 (32) ‖ data)
/// with the numbers big-endian and zero for the digest before the first. So the newest digest proves the whole list, and
/// a proof of one storage slot proves one entry, with no event or receipt at hand. The slots: chain c is at
/// keccak256(c ‖ 0), entry i of it at keccak256(i ‖ keccak256(c ‖ 1)), each word 32 bytes.
///
/// kind             data: abi.encode of
///   1 genesis      bytes32 digest, string name
///   2 validators   uint64 epoch, uint64 firstHeight, bytes32 digest (of the epoch's encoding)
///   3 checkpoint   uint64 height, bytes32 block hash, bytes32 executed header, bytes32 SM3 of the certificate
///   4 archive      uint64 from, uint64 to, uint64 mark, bytes32 manifest, bytes32 content
///   5 receipt      bytes32 manifest, bytes32 SM3 of the collector's signed receipt
///   6 recovery     string device, uint64 from, uint64 to, bytes32 reference
///   7 destruction  uint64 height, bool discarded
///
/// An entry that is there already is not made twice: the call succeeds, changes nothing and returns its number.
contract ArchiveRegistry {
    struct Chain {
        uint64 entries;
        uint64 archivedTo;
        uint64 mark;
        uint64 checkpoint;
        uint64 epoch;
        bool destroyed;
        bytes32 genesis;
        bytes32 head;
    }

    mapping(uint64 chain => Chain) private chains; // slot 0
    mapping(uint64 chain => mapping(uint64 index => bytes32)) private digests; // slot 1
    mapping(bytes32 content => uint64) private numbers; // slot 2: of an entry, counted from 1
    address public owner; // slot 3
    mapping(address account => bool) public isWriter; // slot 4

    event Entry(
        uint64 indexed chain,
        uint64 indexed index,
        uint8 indexed kind,
        uint64 blockNumber,
        uint64 blockTime,
        bytes32 previous,
        bytes32 digest,
        bytes data
    );
    event WriterAdded(address account);
    event WriterRemoved(address account);
    event OwnershipTransferred(address from, address to);

    constructor() {
        owner = msg.sender;
        isWriter[msg.sender] = true;
        emit WriterAdded(msg.sender);
    }

    modifier onlyOwner() {
        require(msg.sender == owner, "only the owner may do this");
        _;
    }

    function addWriter(address account) external onlyOwner {
        isWriter[account] = true;
        emit WriterAdded(account);
    }

    function removeWriter(address account) external onlyOwner {
        isWriter[account] = false;
        emit WriterRemoved(account);
    }

    function transferOwnership(address account) external onlyOwner {
        require(account != address(0), "nobody would own the registry");
        emit OwnershipTransferred(owner, account);
        owner = account;
    }

    // --- writing ---------------------------------------------------------------------------------------------------

    function genesis(uint64 chain, bytes32 digest, string calldata name) external returns (uint64 index) {
        bytes memory data = abi.encode(digest, name);
        (bool known, uint64 found) = _find(chain, 1, data);
        if (known) return found;
        Chain storage c = chains[chain];
        require(digest != 0, "a genesis has a digest");
        require(c.genesis == 0, "another genesis has this chain id");
        c.genesis = digest;
        return _append(c, chain, 1, data);
    }

    function validators(uint64 chain, uint64 epoch, uint64 firstHeight, bytes32 digest)
        external
        returns (uint64 index)
    {
        bytes memory data = abi.encode(epoch, firstHeight, digest);
        (bool known, uint64 found) = _find(chain, 2, data);
        if (known) return found;
        Chain storage c = _living(chain);
        require(epoch == c.epoch + 1, "validator sets are recorded one after the other");
        c.epoch = epoch;
        return _append(c, chain, 2, data);
    }

    function checkpoint(uint64 chain, uint64 height, bytes32 blockHash, bytes32 executed, bytes32 certificate)
        external
        returns (uint64 index)
    {
        bytes memory data = abi.encode(height, blockHash, executed, certificate);
        (bool known, uint64 found) = _find(chain, 3, data);
        if (known) return found;
        Chain storage c = _living(chain);
        require(height > c.checkpoint, "checkpoints only go up");
        c.checkpoint = height;
        return _append(c, chain, 3, data);
    }

    function archive(uint64 chain, uint64 from, uint64 to, uint64 mark, bytes32 manifest, bytes32 content)
        external
        returns (uint64 index)
    {
        bytes memory data = abi.encode(from, to, mark, manifest, content);
        (bool known, uint64 found) = _find(chain, 4, data);
        if (known) return found;
        Chain storage c = _living(chain);
        require(manifest != 0, "an archive has a manifest");
        require(from == c.archivedTo + 1 && to >= from, "archives follow one another without a gap");
        require(mark > c.mark, "the mark only goes up");
        c.archivedTo = to;
        c.mark = mark;
        index = _append(c, chain, 4, data);
        numbers[keccak256(abi.encode(chain, "manifest", manifest))] = index + 1;
    }

    function receipt(uint64 chain, bytes32 manifest, bytes32 digest) external returns (uint64 index) {
        bytes memory data = abi.encode(manifest, digest);
        (bool known, uint64 found) = _find(chain, 5, data);
        if (known) return found;
        Chain storage c = _living(chain);
        require(numbers[keccak256(abi.encode(chain, "manifest", manifest))] != 0, "no archive has this manifest");
        return _append(c, chain, 5, data);
    }

    function recovery(uint64 chain, string calldata device, uint64 from, uint64 to, bytes32 ref)
        external
        returns (uint64 index)
    {
        bytes memory data = abi.encode(device, from, to, ref);
        (bool known, uint64 found) = _find(chain, 6, data);
        if (known) return found;
        require(to >= from, "a range that ends before it begins");
        return _append(_living(chain), chain, 6, data);
    }

    /// Without `discarded`, everything up to the last height must be archived. Nothing comes after it.
    function destruction(uint64 chain, uint64 height, bool discarded) external returns (uint64 index) {
        bytes memory data = abi.encode(height, discarded);
        (bool known, uint64 found) = _find(chain, 7, data);
        if (known) return found;
        Chain storage c = _living(chain);
        require(discarded || c.archivedTo >= height, "not everything is archived");
        c.destroyed = true;
        return _append(c, chain, 7, data);
    }

    // --- reading ---------------------------------------------------------------------------------------------------

    function chainOf(uint64 chain)
        external
        view
        returns (
            bytes32 genesisDigest,
            uint64 entries,
            bytes32 head,
            uint64 archivedTo,
            uint64 mark,
            uint64 checkpointHeight,
            uint64 epoch,
            bool destroyed
        )
    {
        Chain storage c = chains[chain];
        return (c.genesis, c.entries, c.head, c.archivedTo, c.mark, c.checkpoint, c.epoch, c.destroyed);
    }

    function digestOf(uint64 chain, uint64 index) external view returns (bytes32 digest) {
        return digests[chain][index];
    }

    /// The number of the entry that anchors this archive; reverts when there is none.
    function archiveOf(uint64 chain, bytes32 manifest) external view returns (uint64 index) {
        index = numbers[keccak256(abi.encode(chain, "manifest", manifest))];
        require(index != 0, "no archive has this manifest");
        return index - 1;
    }

    // --- inside ----------------------------------------------------------------------------------------------------

    function _find(uint64 chain, uint8 kind, bytes memory data) private view returns (bool known, uint64 found) {
        require(isWriter[msg.sender], "only the cloud's keys may write");
        found = numbers[keccak256(abi.encode(chain, kind, data))];
        return found == 0 ? (false, 0) : (true, found - 1);
    }

    function _living(uint64 chain) private view returns (Chain storage c) {
        c = chains[chain];
        require(c.genesis != 0, "no such chain: its genesis comes first");
        require(!c.destroyed, "the chain is destroyed");
    }

    function _append(Chain storage c, uint64 chain, uint8 kind, bytes memory data) private returns (uint64 index) {
        index = c.entries;
        bytes32 previous = c.head;
        uint64 number = uint64(block.number);
        uint64 time = uint64(block.timestamp);
        bytes32 digest = keccak256(abi.encodePacked(chain, index, kind, number, time, previous, data));
        c.entries = index + 1;
        c.head = digest;
        digests[chain][index] = digest;
        numbers[keccak256(abi.encode(chain, kind, data))] = index + 1;
        emit Entry(chain, index, kind, number, time, previous, digest, data);
    }
}
