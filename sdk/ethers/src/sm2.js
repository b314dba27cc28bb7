// SM2 keys and signatures (GB/T 32918) as Ridge's accounts use them: user id 1234567812345678, public keys X‖Y, signatures
// r‖s with the low s. The arithmetic is sm-crypto-v2's (over @noble/curves).
import { getBytes, hexlify, toBeHex } from "ethers";
import smCrypto from "sm-crypto-v2";

const { sm2, sm3: sm3Digest } = smCrypto;
const ORDER = 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n;
const USER_ID = "1234567812345678";

/** SM3 of bytes, as "0x" and 64 digits. */
export function sm3(data) {
    return `0x${sm3Digest(getBytes(data))}`;
}

/** The public key X‖Y (64 bytes) of a private number of 32 bytes. */
export function publicKeyOf(privateKey) {
    const scalar = BigInt(hexlify(privateKey));
    if (getBytes(privateKey).length !== 32 || scalar < 1n || scalar > ORDER - 2n)
        throw new TypeError("a private key is 32 bytes, a number from 1 to n-2");
    return `0x${sm2.getPublicKeyFromPrivateKey(hexlify(privateKey).slice(2)).slice(2)}`;
}

/** The last 20 bytes of SM3(X‖Y). In lower case: a checksum would need to be Keccak's. */
export function addressOf(publicKey) {
    const bytes = getBytes(publicKey);
    const point = bytes.length === 65 && bytes[0] === 4 ? bytes.slice(1) : bytes;
    if (point.length !== 64) throw new TypeError("a public key is X and Y, 64 bytes");
    return `0x${sm3(point).slice(-40)}`;
}

export function randomPrivateKey() {
    return `0x${sm2.generateKeyPairHex().privateKey.padStart(64, "0")}`;
}

/** r‖s over the message; signs again until s is low, because chains take no other. */
export function sign(privateKey, message) {
    const key = hexlify(privateKey).slice(2);
    for (;;) {
        const signature = sm2.doSignature(getBytes(message), key, { hash: true, der: false, userId: USER_ID });
        const s = BigInt(`0x${signature.slice(64)}`);
        if (s <= (ORDER - 1n) / 2n) return `0x${signature}`;
    }
}

/** Whether r‖s is a signature of the message that a chain would take. */
export function verify(publicKey, message, signature) {
    const bytes = getBytes(signature);
    if (bytes.length !== 64) return false;
    const s = BigInt(hexlify(bytes.slice(32)));
    if (s > (ORDER - 1n) / 2n) return false;
    return sm2.doVerifySignature(getBytes(message), hexlify(bytes).slice(2), `04${hexlify(publicKey).slice(2)}`, {
        hash: true,
        der: false,
        userId: USER_ID,
    });
}

/** A number as its minimal big-endian bytes, as RLP wants it: 0 is empty. */
export function minimal(value) {
    const v = BigInt(value);
    return v === 0n ? "0x" : toBeHex(v);
}
