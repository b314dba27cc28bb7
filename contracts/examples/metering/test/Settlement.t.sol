// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Settlement} from "../contracts/Settlement.sol";
import {Actor, Assert} from "./Assert.sol";

contract SettlementTest is Assert {
    Settlement private s;
    Actor private device;
    Actor private seller;
    address private constant BUYER = address(0xb0b);
    bytes32 private constant M = "m1";

    function setUp() external {
        s = new Settlement();
        device = new Actor();
        seller = new Actor();
        s.register(M, address(device), address(seller), BUYER, 3);
    }

    function report(uint128 counter, uint64 time) private {
        device.act(address(s), abi.encodeCall(s.report, (M, counter, time)));
    }

    function testAPeriodIsSettledOnce() external {
        report(100, 10);
        report(140, 20);
        equal(s.settle(M), 420, "amount");
        equal(s.owed(BUYER, address(seller)), 420, "owed");
        refused(address(s), abi.encodeCall(s.settle, (M)), Settlement.Nothing.selector);
        report(150, 30);
        equal(s.settle(M), 30, "second period");
    }

    function testPaymentsAreConfirmedByTheSellerOnly() external {
        report(10, 10);
        s.settle(M);
        seller.act(address(s), abi.encodeCall(s.confirm, (BUYER, 10)));
        equal(s.owed(BUYER, address(seller)), 20, "owed");
        refused(address(s), abi.encodeCall(s.confirm, (BUYER, 1)), Settlement.MoreThanOwed.selector);
    }

    function testACounterDoesNotGoBack() external {
        report(100, 10);
        bytes memory lower = abi.encodeCall(s.report, (M, 99, 20));
        refused(address(device), abi.encodeCall(device.act, (address(s), lower)), Settlement.Backwards.selector);
        bytes memory earlier = abi.encodeCall(s.report, (M, 101, 10));
        refused(address(device), abi.encodeCall(device.act, (address(s), earlier)), Settlement.Backwards.selector);
    }

    function testOnlyTheDeviceReportsAndOnlyTheOperatorRegisters() external {
        refused(address(s), abi.encodeCall(s.report, (M, 1, 1)), Settlement.NotAllowed.selector);
        bytes memory register = abi.encodeCall(s.register, ("m2", BUYER, BUYER, BUYER, 1));
        refused(address(device), abi.encodeCall(device.act, (address(s), register)), Settlement.NotAllowed.selector);
        refused(address(s), abi.encodeCall(s.register, (M, BUYER, BUYER, BUYER, 1)), Settlement.Exists.selector);
    }
}
