// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IdentityRegistry} from "../contracts/IdentityRegistry.sol";
import {Actor, Assert} from "./Assert.sol";

contract IdentityRegistryTest is Assert {
    IdentityRegistry private r;
    Actor private owner;
    Actor private lab;
    bytes32 private constant ID = "transformer-7";
    bytes32 private constant TOPIC = "calibrated";

    function setUp() external {
        r = new IdentityRegistry();
        owner = new Actor();
        lab = new Actor();
        owner.act(address(r), abi.encodeCall(r.create, (ID, "doc")));
        r.setAttester(address(lab), true);
    }

    function soon() private view returns (uint64) {
        return uint64(block.timestamp) + 1000;
    }

    function testANameBelongsToWhoTookIt() external {
        refused(address(r), abi.encodeCall(r.create, (ID, "mine")), IdentityRegistry.Taken.selector);
        refused(address(r), abi.encodeCall(r.setDocument, (ID, "x")), IdentityRegistry.NotAllowed.selector);
        owner.act(address(r), abi.encodeCall(r.setController, (ID, address(this))));
        r.setDocument(ID, "new");
        (address controller,, string memory document) = r.identities(ID);
        equal(controller, address(this), "controller");
        equal(keccak256(bytes(document)), keccak256("new"), "document");
    }

    function testKeysSpeakUntilTheyRunOut() external {
        address key = address(0x1234);
        check(!r.speaksFor(ID, key), "before");
        owner.act(address(r), abi.encodeCall(r.setKey, (ID, key, soon())));
        check(r.speaksFor(ID, key) && r.speaksFor(ID, address(owner)), "after");
        owner.act(address(r), abi.encodeCall(r.setKey, (ID, key, 0)));
        check(!r.speaksFor(ID, key), "taken back");
        bytes memory past = abi.encodeCall(r.setKey, (ID, key, uint64(block.timestamp)));
        refused(address(owner), abi.encodeCall(owner.act, (address(r), past)), IdentityRegistry.InThePast.selector);
    }

    function testAttestationsNeedAnAdmittedAttester() external {
        refused(address(r), abi.encodeCall(r.attest, (ID, TOPIC, "yes", soon())), IdentityRegistry.NotAllowed.selector);
        lab.act(address(r), abi.encodeCall(r.attest, (ID, TOPIC, "yes", soon())));
        equal(r.attested(ID, address(lab), TOPIC), "yes", "said");
        r.setAttester(address(lab), false);
        equal(r.attested(ID, address(lab), TOPIC), bytes32(0), "of one who is admitted no more");
    }

    function testAnAttestationCanBeWithdrawn() external {
        lab.act(address(r), abi.encodeCall(r.attest, (ID, TOPIC, "yes", soon())));
        lab.act(address(r), abi.encodeCall(r.withdraw, (ID, TOPIC)));
        equal(r.attested(ID, address(lab), TOPIC), bytes32(0), "withdrawn");
        bytes memory unknown = abi.encodeCall(r.attest, ("nobody", TOPIC, "yes", soon()));
        refused(address(lab), abi.encodeCall(lab.act, (address(r), unknown)), IdentityRegistry.Unknown.selector);
    }

    function testASuspendedIdentitySaysNothing() external {
        r.suspend(ID, true);
        check(!r.speaksFor(ID, address(owner)), "suspended");
        bytes memory change = abi.encodeCall(r.setDocument, (ID, "x"));
        refused(address(owner), abi.encodeCall(owner.act, (address(r), change)), IdentityRegistry.NotAllowed.selector);
        r.suspend(ID, false);
        check(r.speaksFor(ID, address(owner)), "again");
    }
}
