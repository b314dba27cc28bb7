// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {AccessControl} from "../contracts/AccessControl.sol";
import {Actor, Assert} from "./Assert.sol";

contract AccessControlTest is Assert {
    AccessControl private a;
    Actor private fitter;
    bytes32 private constant ROLE = "fitter";
    bytes32 private constant BREAKER = "breaker-3";

    function setUp() external {
        a = new AccessControl();
        fitter = new Actor();
        a.permit(ROLE, BREAKER, "open", true);
    }

    function soon() private view returns (uint64) {
        return uint64(block.timestamp) + 1000;
    }

    function testARoleGivesWhatItIsPermittedAndNoMore() external {
        a.grant(address(fitter), ROLE, soon());
        check(a.allowed(address(fitter), ROLE, BREAKER, "open"), "open");
        check(!a.allowed(address(fitter), ROLE, BREAKER, "close"), "close");
        fitter.act(address(a), abi.encodeCall(a.use, (ROLE, BREAKER, "open")));
        bytes memory close = abi.encodeCall(a.use, (ROLE, BREAKER, "close"));
        refused(address(fitter), abi.encodeCall(fitter.act, (address(a), close)), AccessControl.NotAllowed.selector);
    }

    function testARevokedRoleGivesNothing() external {
        a.grant(address(fitter), ROLE, soon());
        a.revoke(address(fitter), ROLE);
        check(!a.allowed(address(fitter), ROLE, BREAKER, "open"), "revoked");
        refused(address(a), abi.encodeCall(a.grant, (address(fitter), ROLE, 1)), AccessControl.InThePast.selector);
    }

    function testOnlyAdministratorsDecideAndOneStays() external {
        bytes memory grant = abi.encodeCall(a.grant, (address(fitter), ROLE, soon()));
        refused(address(fitter), abi.encodeCall(fitter.act, (address(a), grant)), AccessControl.NotAllowed.selector);
        refused(address(a), abi.encodeCall(a.setAdministrator, (address(this), false)), AccessControl.NotAllowed.selector);
        a.setAdministrator(address(fitter), true);
        a.setAdministrator(address(this), false);
        equal(a.administratorCount(), 1, "administrators");
        fitter.act(address(a), grant);
        check(a.allowed(address(fitter), ROLE, BREAKER, "open"), "by the other administrator");
    }
}
