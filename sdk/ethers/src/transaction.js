// Ridge's transactions (docs/developer.md): RLP [payload, signature], payload = [version, chain id, nonce, valid until, to,
// value, gas limit, data, public key]; the id is SM3 over the tag 1 and the payload, and is what is signed.
import { concat, decodeRlp, encodeRlp, getBytes, getCreateAddress, hexlify } from "ethers";
import { addressOf, minimal, publicKeyOf, sign, sm3, verify } from "./sm2.js";

const VERSION = 1;
const TAG = "0x01";
export const NONCE_LIMIT = 2n ** 53n;
export const VALID_MAX = 100_000n;

/** A random nonce below 2^53: many senders of one key need not wait for each other. */
export function randomNonce() {
    const words = new BigUint64Array(1);
    globalThis.crypto.getRandomValues(words);
    return Number(words[0] % NONCE_LIMIT);
}

function payloadOf(fields, publicKey) {
    return [
        minimal(VERSION),
        minimal(fields.chainId),
        minimal(fields.nonce),
        minimal(fields.validUntil),
        fields.to ? hexlify(fields.to) : "0x",
        minimal(fields.value ?? 0),
        minimal(fields.gasLimit),
        hexlify(fields.data ?? "0x"),
        publicKey,
    ];
}

function idOf(payload) {
    return sm3(concat([TAG, encodeRlp(payload)]));
}

/** Signs the fields {chainId, nonce, validUntil, to, value, gasLimit, data}: {id, raw, from}. */
export function signTransaction(fields, privateKey) {
    if (BigInt(fields.nonce) >= NONCE_LIMIT) throw new RangeError("a nonce is below 2^53");
    const publicKey = publicKeyOf(privateKey);
    const payload = payloadOf(fields, publicKey);
    const id = idOf(payload);
    return { id, raw: encodeRlp([payload, sign(privateKey, id)]), from: addressOf(publicKey) };
}

/** The fields of a signed transaction; throws unless its signature verifies. */
export function parseTransaction(raw) {
    const list = decodeRlp(raw);
    if (!Array.isArray(list) || list.length !== 2 || !Array.isArray(list[0]) || list[0].length !== 9)
        throw new TypeError("not a Ridge transaction: want RLP [payload, signature]");
    const [payload, signature] = list;
    const [version, chainId, nonce, validUntil, to, value, gasLimit, data, publicKey] = payload;
    if (BigInt(version === "0x" ? 0 : version) !== 1n) throw new TypeError("a transaction of another version");
    const number = (hex) => (hex === "0x" ? 0n : BigInt(hex));
    const id = idOf(payload);
    if (getBytes(publicKey).length !== 64 || !verify(publicKey, id, signature))
        throw new TypeError("the transaction's signature does not verify");
    const from = addressOf(publicKey);
    return {
        id,
        from,
        publicKey,
        signature,
        chainId: number(chainId),
        nonce: Number(number(nonce)),
        validUntil: number(validUntil),
        to: to === "0x" ? null : to,
        value: number(value),
        gasLimit: number(gasLimit),
        data,
        contract: to === "0x" ? getCreateAddress({ from, nonce: number(nonce) }).toLowerCase() : null,
    };
}
