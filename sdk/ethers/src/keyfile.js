// Key files: Ridge's sealed ones (as `ridge key new` writes, under a passphrase), and plain PKCS#8.
// A sealed file's form is in libs/crypto/include/ridge/crypto/keyfile.h.
import { createPrivateKey } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { decodeBase64, getBytes, hexlify, scrypt, toUtf8Bytes } from "ethers";
import smCrypto from "sm-crypto-v2";
import { publicKeyOf } from "./sm2.js";

const FORM =
    /^(-----BEGIN RIDGE SEALED SM2 KEY-----\nVersion: 1\nPublic: ([0-9a-f]{128})\nLock: (scrypt (\d+) ([0-9a-f]{32})|credential \S+ [0-9a-f]{32})\n\n)([A-Za-z0-9+/=]{64})\n-----END RIDGE SEALED SM2 KEY-----\n$/;

async function openSealed(text, passphrase) {
    const match = FORM.exec(text);
    if (!match) throw new Error("not a sealed key file of Ridge, version 1");
    const [, head, publicKey, lock, log2, salt, body] = match;
    if (!lock.startsWith("scrypt")) throw new Error("the key is sealed by a systemd credential, which only its service can open");
    if (Number(log2) < 14 || Number(log2) > 17) throw new Error(`scrypt with N = 2^${log2}, not 2^14 to 2^17`);
    if (!passphrase) throw new Error("the key is under a passphrase, and none was given");
    const derived = getBytes(await scrypt(toUtf8Bytes(passphrase), `0x${salt}`, 2 ** Number(log2), 8, 1, 28));
    const sealed = getBytes(decodeBase64(body));
    let scalar;
    try {
        scalar = smCrypto.sm4.decrypt(sealed.slice(0, 32), derived.slice(0, 16), {
            mode: "gcm",
            padding: "none",
            iv: derived.slice(16),
            associatedData: toUtf8Bytes(head),
            tag: sealed.slice(32),
            output: "array",
        });
    } catch {
        throw new Error("a wrong passphrase, or a damaged file");
    }
    const privateKey = hexlify(Uint8Array.from(scalar));
    if (publicKeyOf(privateKey) !== `0x${publicKey}`) throw new Error("a wrong passphrase, or a damaged file");
    return privateKey;
}

function openPkcs8(text) {
    const jwk = createPrivateKey(text).export({ format: "der", type: "sec1" });
    // ECPrivateKey: SEQUENCE { 1, OCTET STRING of 32 bytes, … }
    const at = jwk.indexOf(Buffer.from([0x02, 0x01, 0x01, 0x04, 0x20]));
    if (at < 0) throw new Error("not an EC private key of 256 bits");
    return hexlify(jwk.subarray(at + 5, at + 37));
}

/** The private key in a file's text, "0x" and 64 digits. */
export async function openKey(text, passphrase = "") {
    if (text.startsWith("-----BEGIN RIDGE SEALED")) return openSealed(text, passphrase);
    if (text.includes("ENCRYPTED")) throw new Error("PKCS#8 under a passphrase: `ridge key import` makes a sealed key file of it");
    return openPkcs8(text);
}

/** The private key in a file that only its owner may use. */
export async function loadKey(path, passphrase = "") {
    if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0)
        throw new Error(`${path} can be used by others: chmod 600 ${path}`);
    try {
        return await openKey(readFileSync(path, "utf8"), passphrase);
    } catch (error) {
        throw new Error(`${path}: ${error.message}`);
    }
}
