// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Traceability} from "../contracts/Traceability.sol";
import {Actor, Assert} from "./Assert.sol";

contract TraceabilityTest is Assert {
    Traceability private t;
    Actor private buyer;
    bytes32 private constant STEEL = "steel";

    function setUp() external {
        t = new Traceability();
        buyer = new Actor();
        t.make(STEEL, new bytes32[](0));
    }

    function testAnItemChangesHandsWhenTheReceiverAccepts() external {
        t.offer(STEEL, address(buyer));
        equal(t.get(STEEL).holder, address(this), "offered only");
        buyer.act(address(t), abi.encodeCall(t.accept, (STEEL)));
        equal(t.get(STEEL).holder, address(buyer), "accepted");
        refused(address(t), abi.encodeCall(t.step, (STEEL, "cut", "")), Traceability.NotHolder.selector);
    }

    function testWhatIsUsedUpIsUsedUpOnce() external {
        bytes32[] memory sources = new bytes32[](1);
        sources[0] = STEEL;
        t.make("bolt", sources);
        equal(t.get("bolt").sources[0], STEEL, "source");
        check(t.get(STEEL).consumed, "consumed");
        refused(address(t), abi.encodeCall(t.make, ("nut", sources)), Traceability.Consumed.selector);
        refused(address(t), abi.encodeCall(t.step, (STEEL, "cut", "")), Traceability.Consumed.selector);
    }

    function testStepsAreCounted() external {
        t.step(STEEL, "rolled", keccak256("report"));
        t.step(STEEL, "tested", keccak256("protocol"));
        equal(t.get(STEEL).steps, 2, "steps");
    }

    function testNobodyElseTakesOrMakesIt() external {
        bytes memory accept = abi.encodeCall(t.accept, (STEEL));
        refused(address(buyer), abi.encodeCall(buyer.act, (address(t), accept)), Traceability.NotOffered.selector);
        refused(address(t), abi.encodeCall(t.make, (STEEL, new bytes32[](0))), Traceability.Exists.selector);
        refused(address(t), abi.encodeCall(t.offer, ("none", address(buyer))), Traceability.Unknown.selector);
    }
}
