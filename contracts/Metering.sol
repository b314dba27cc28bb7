// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Readings of meters, in the order of their time, with running totals
/// @notice A meter belongs to the account that registered it. The owner and the writers it authorises append
/// readings. A reading is accepted only if its time is later than the meter's last one, so no reading can be
/// counted twice, however often it is delivered.
/// @dev Time is a number that grows (the agent sends Unix seconds). Values are in micro-units: 1.5 kWh is
/// 1500000. A reading takes one storage slot, a meter's totals three.
contract Metering {
    struct Reading {
        bytes32 meter;
        uint64 time;
        int64 value;
    }

    struct Point {
        uint64 time;
        int64 value;
    }

    /// @dev Three slots: (owner, lastTime, count), (limits, extremes), sum. `count` of 32 bits lasts 136 years
    /// at a reading a second; 2^32 values of 64 bits cannot overflow `sum`.
    struct Meter {
        address owner;
        uint64 lastTime;
        uint32 count;
        int64 low;
        int64 high;
        int64 min;
        int64 max;
        int256 sum;
    }

    /// @notice The meter was registered, or its owner changed its limits.
    event MeterRegistered(bytes32 indexed meter, address indexed owner, int64 low, int64 high);
    /// @notice The owner allowed or forbade an account to submit readings of the meter.
    event WriterChanged(bytes32 indexed meter, address indexed writer, bool allowed);
    /// @notice Readings were appended; the arguments are the meter's totals after them. In a batch, one event
    /// for each run of consecutive readings of one meter.
    event Readings(bytes32 indexed meter, uint64 count, uint64 lastTime, int256 sum);
    /// @notice A reading lies outside the meter's limits. It is stored and counted all the same.
    event Anomaly(bytes32 indexed meter, uint64 time, int64 value, int64 low, int64 high);

    error MeterOwned(bytes32 meter, address owner);
    error UnknownMeter(bytes32 meter);
    error NotAuthorised(bytes32 meter, address sender);
    error NotNewer(bytes32 meter, uint64 lastTime, uint64 time);
    error BadLimits(int64 low, int64 high);
    error LengthMismatch(uint256 times, uint256 values);
    error NoSuchReading(bytes32 meter, uint256 index, uint256 count);
    error NoSuchMeter(uint256 index, uint256 count);

    mapping(bytes32 => Meter) private _meters;
    /// @dev A point is time << 64 | value in one word: written whole, a slot is not read before.
    mapping(bytes32 => mapping(uint256 => uint256)) private _points;
    mapping(bytes32 => mapping(address => bool)) private _writers;
    bytes32[] private _ids;

    /// @notice Registers a meter for the sender, or changes the limits of a meter the sender owns.
    /// @param meter the meter's name, of the operator's choosing
    /// @param lowLimit a lower reading is an anomaly
    /// @param highLimit a higher reading is an anomaly; not below lowLimit
    function registerMeter(bytes32 meter, int64 lowLimit, int64 highLimit) external {
        if (lowLimit > highLimit) revert BadLimits(lowLimit, highLimit);
        Meter storage m = _meters[meter];
        address owner = m.owner;
        if (owner == address(0)) {
            m.owner = msg.sender;
            _ids.push(meter);
        } else if (owner != msg.sender) {
            revert MeterOwned(meter, owner);
        }
        m.low = lowLimit;
        m.high = highLimit;
        emit MeterRegistered(meter, msg.sender, lowLimit, highLimit);
    }

    /// @notice Allows or forbids `writer` to submit readings of `meter`. Only its owner may say so.
    function authorise(bytes32 meter, address writer, bool allowed) external {
        address owner = _meters[meter].owner;
        if (owner == address(0)) revert UnknownMeter(meter);
        if (owner != msg.sender) revert MeterOwned(meter, owner);
        _writers[meter][writer] = allowed;
        emit WriterChanged(meter, writer, allowed);
    }

    /// @notice Appends readings of one meter: the cheapest way. All or none are accepted.
    function submit(bytes32 meter, uint64[] calldata times, int64[] calldata values) external {
        if (times.length != values.length) revert LengthMismatch(times.length, values.length);
        if (times.length == 0) return;
        Meter memory m = _open(meter);
        mapping(uint256 => uint256) storage points = _points[meter];
        for (uint256 i = 0; i < times.length; ++i) {
            _append(meter, m, points, times[i], values[i]);
        }
        _close(meter, m);
    }

    /// @notice Appends readings of any meters the sender may write. All or none are accepted. Sorting the batch
    /// by meter makes it cheap: totals are read and written once for each run of one meter.
    function submitBatch(Reading[] calldata readings_) external {
        uint256 i = 0;
        while (i < readings_.length) {
            bytes32 meter = readings_[i].meter;
            Meter memory m = _open(meter);
            mapping(uint256 => uint256) storage points = _points[meter];
            do {
                _append(meter, m, points, readings_[i].time, readings_[i].value);
                ++i;
            } while (i < readings_.length && readings_[i].meter == meter);
            _close(meter, m);
        }
    }

    /// @notice The running totals of a meter; all zero before its first reading.
    function totals(bytes32 meter)
        external
        view
        returns (uint64 count, int256 sum, int64 min, int64 max, uint64 lastTime)
    {
        Meter storage m = _known(meter);
        return (m.count, m.sum, m.min, m.max, m.lastTime);
    }

    /// @notice The reading with this index, counted from 0 in the order of time.
    function readingAt(bytes32 meter, uint256 index) external view returns (uint64 time, int64 value) {
        uint256 count = _known(meter).count;
        if (index >= count) revert NoSuchReading(meter, index, count);
        Point memory p = _unpack(_points[meter][index]);
        return (p.time, p.value);
    }

    /// @notice The readings with fromTime <= time <= toTime, oldest first, at most `limit` of them.
    /// @dev To go on after a full answer, ask again from the last time plus one.
    function readings(bytes32 meter, uint64 fromTime, uint64 toTime, uint256 limit)
        external
        view
        returns (Point[] memory found)
    {
        uint256 count = _known(meter).count;
        mapping(uint256 => uint256) storage points = _points[meter];
        uint256 first = _lowerBound(points, count, fromTime);
        uint256 end = toTime == type(uint64).max ? count : _lowerBound(points, count, toTime + 1);
        uint256 size = end > first ? end - first : 0;
        if (size > limit) size = limit;
        found = new Point[](size);
        for (uint256 i = 0; i < size; ++i) {
            found[i] = _unpack(points[first + i]);
        }
    }

    /// @notice Who owns the meter, and its limits. The owner is zero if nobody registered it.
    function meterOf(bytes32 meter) external view returns (address owner, int64 low, int64 high) {
        Meter storage m = _meters[meter];
        return (m.owner, m.low, m.high);
    }

    /// @notice May `writer` submit readings of `meter`?
    function mayWrite(bytes32 meter, address writer) external view returns (bool) {
        address owner = _meters[meter].owner;
        return owner != address(0) && (owner == writer || _writers[meter][writer]);
    }

    /// @notice How many meters are registered.
    function meterCount() external view returns (uint256) {
        return _ids.length;
    }

    /// @notice The meter with this index, in the order of registration.
    function meterAt(uint256 index) external view returns (bytes32) {
        if (index >= _ids.length) revert NoSuchMeter(index, _ids.length);
        return _ids[index];
    }

    function _known(bytes32 meter) private view returns (Meter storage m) {
        m = _meters[meter];
        if (m.owner == address(0)) revert UnknownMeter(meter);
    }

    function _open(bytes32 meter) private view returns (Meter memory m) {
        m = _known(meter);
        if (m.owner != msg.sender && !_writers[meter][msg.sender]) revert NotAuthorised(meter, msg.sender);
    }

    function _append(
        bytes32 meter,
        Meter memory m,
        mapping(uint256 => uint256) storage points,
        uint64 time,
        int64 value
    ) private {
        if (time <= m.lastTime) revert NotNewer(meter, m.lastTime, time);
        uint32 count = m.count;
        points[count] = (uint256(time) << 64) | uint64(value);
        m.lastTime = time;
        m.count = count + 1;
        if (count == 0 || value < m.min) m.min = value;
        if (count == 0 || value > m.max) m.max = value;
        unchecked {
            m.sum += value;
        }
        if (value < m.low || value > m.high) emit Anomaly(meter, time, value, m.low, m.high);
    }

    function _close(bytes32 meter, Meter memory m) private {
        _meters[meter] = m;
        emit Readings(meter, m.count, m.lastTime, m.sum);
    }

    function _unpack(uint256 point) private pure returns (Point memory) {
        return Point(uint64(point >> 64), int64(uint64(point)));
    }

    /// @dev The index of the first reading whose time is not before `time`.
    function _lowerBound(mapping(uint256 => uint256) storage points, uint256 count, uint64 time)
        private
        view
        returns (uint256 low)
    {
        uint256 high = count;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (points[middle] >> 64 < time) low = middle + 1;
            else high = middle;
        }
    }
}
