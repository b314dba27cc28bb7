// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What test contracts say: a failure reverts with its text, which `ridge contract test` shows.
abstract contract Assert {
    function check(bool condition, string memory what) internal pure {
        require(condition, what);
    }

    function equal(uint256 got, uint256 want, string memory what) internal pure {
        require(got == want, string.concat(what, ": ", text(got), ", not ", text(want)));
    }

    function equal(address got, address want, string memory what) internal pure {
        require(got == want, what);
    }

    function equal(bytes32 got, bytes32 want, string memory what) internal pure {
        require(got == want, what);
    }

    /// The call must revert with that error: `refused(address(c), abi.encodeCall(c.f, (1)), C.Denied.selector)`.
    function refused(address who, bytes memory call, bytes4 error_) internal {
        (bool ok, bytes memory data) = who.call(call);
        require(!ok, "it was not refused");
        require(data.length >= 4 && bytes4(data) == error_, "it was refused with another error");
    }

    function text(uint256 v) internal pure returns (string memory) {
        if (v == 0) return "0";
        uint256 length;
        for (uint256 rest = v; rest > 0; rest /= 10) length++;
        bytes memory digits = new bytes(length);
        for (; v > 0; v /= 10) digits[--length] = bytes1(uint8(48 + (v % 10)));
        return string(digits);
    }
}

/// An account of its own in a test: what it is asked to call, it calls as itself.
contract Actor {
    function act(address to, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory result) = to.call(data);
        if (!ok)
            assembly {
                revert(add(result, 32), mload(result))
            }
        return result;
    }
}
