// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title Metering and settlement between parties who do not share a database.
/// @notice An operator registers meters, each with a seller, a buyer and a price for a unit. A meter's device reports its
/// counter, which only rises. At the end of a period anybody may settle a meter: what was delivered since the last
/// settlement becomes an amount that the buyer owes the seller. The buyer confirms payments made elsewhere; both see
/// one balance.
contract Settlement {
    struct Meter {
        address device;
        address seller;
        address buyer;
        uint128 price; // for a unit, in the smallest part of the currency
        uint128 counter; // as last reported
        uint128 settled; // the counter when last settled
        uint64 lastTime;
    }

    error NotAllowed(address sender);
    error UnknownMeter(bytes32 meter);
    error Exists(bytes32 meter);
    error Backwards(bytes32 meter, uint256 last, uint256 given);
    error Nothing(bytes32 meter);
    error MoreThanOwed(uint256 owed, uint256 paid);

    event Registered(bytes32 indexed meter, address indexed seller, address indexed buyer, uint128 price);
    event Reported(bytes32 indexed meter, uint128 counter, uint64 time);
    event Settled(bytes32 indexed meter, uint256 units, uint256 amount);
    event Paid(address indexed buyer, address indexed seller, uint256 amount);

    address public immutable operator;
    mapping(bytes32 => Meter) public meters;
    /// What a buyer owes a seller.
    mapping(address => mapping(address => uint256)) public owed;

    constructor() {
        operator = msg.sender;
    }

    function register(bytes32 meter, address device, address seller, address buyer, uint128 price) external {
        if (msg.sender != operator) revert NotAllowed(msg.sender);
        if (meters[meter].seller != address(0)) revert Exists(meter);
        if (seller == address(0) || buyer == address(0) || device == address(0)) revert NotAllowed(address(0));
        meters[meter] = Meter(device, seller, buyer, price, 0, 0, 0);
        emit Registered(meter, seller, buyer, price);
    }

    /// The device's counter at a time, in seconds. Neither goes back.
    function report(bytes32 meter, uint128 counter, uint64 time) external {
        Meter storage m = known(meter);
        if (msg.sender != m.device) revert NotAllowed(msg.sender);
        if (counter < m.counter) revert Backwards(meter, m.counter, counter);
        if (time <= m.lastTime) revert Backwards(meter, m.lastTime, time);
        m.counter = counter;
        m.lastTime = time;
        emit Reported(meter, counter, time);
    }

    function settle(bytes32 meter) external returns (uint256 amount) {
        Meter storage m = known(meter);
        uint256 units = m.counter - m.settled;
        if (units == 0) revert Nothing(meter);
        amount = units * m.price;
        m.settled = m.counter;
        owed[m.buyer][m.seller] += amount;
        emit Settled(meter, units, amount);
    }

    /// The seller confirms that it was paid.
    function confirm(address buyer, uint256 amount) external {
        uint256 debt = owed[buyer][msg.sender];
        if (amount > debt) revert MoreThanOwed(debt, amount);
        owed[buyer][msg.sender] = debt - amount;
        emit Paid(buyer, msg.sender, amount);
    }

    function known(bytes32 meter) private view returns (Meter storage m) {
        m = meters[meter];
        if (m.seller == address(0)) revert UnknownMeter(meter);
    }
}
