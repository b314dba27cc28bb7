// ethers' own classes with a RidgeSigner, against the nodes in RIDGE_RPC.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Contract, ContractFactory, getCreateAddress, id as keccakId } from "ethers";
import { RidgeProvider, RidgeSigner, addressOf, parseTransaction, publicKeyOf, reasonOf, signTransaction, sm3, verify } from "../src/index.js";
import { loadKey, openKey } from "../src/keyfile.js";
import { typesOf } from "../src/abi-types.js";
import { main, test } from "./cases.mjs";
import { compile } from "./compile.mjs";

const here = new URL(".", import.meta.url).pathname;
const urls = (process.env.RIDGE_RPC ?? "").split(" ").filter(Boolean);
const provider = new RidgeProvider(urls[0]);
const signer = RidgeSigner.random(provider);
const vaultArtefact = compile("Vault.sol", readFileSync(join(here, "Vault.sol"), "utf8")).Vault;
let vault;

test("SM3 and SM2 agree with the standard and with the C library", async () => {
    assert.equal(sm3("0x616263"), "0x66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    const key = await openKey(readFileSync(join(here, "sealed.key"), "utf8"), "correct horse battery");
    assert.equal(addressOf(publicKeyOf(key)), "0x546b5959449485b06000494a8c8c97e4e1f57e42");
    await assert.rejects(openKey(readFileSync(join(here, "sealed.key"), "utf8"), "wrong"), /wrong passphrase/);
    await assert.rejects(openKey(readFileSync(join(here, "sealed.key"), "utf8")), /none was given/);
});

test("a key file that others can use is refused", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ridge-ethers-"));
    const path = join(folder, "k");
    writeFileSync(path, readFileSync(join(here, "sealed.key")), { mode: 0o644 });
    await assert.rejects(loadKey(path, "correct horse battery"), /chmod 600/);
    rmSync(folder, { recursive: true });
});

test("a transaction is read back, and not when one bit is another", () => {
    const { raw, id } = signTransaction({ chainId: 7, nonce: 5, validUntil: 100, gasLimit: 21000, data: "0x6001" }, sm3("0x01"));
    const parsed = parseTransaction(raw);
    assert.equal(parsed.id, id);
    assert.equal(parsed.contract, getCreateAddress({ from: parsed.from, nonce: 5 }).toLowerCase());
    assert.throws(() => parseTransaction(`${raw.slice(0, -1)}${raw.endsWith("0") ? "1" : "0"}`), /signature/);
    assert.throws(() => parseTransaction("0xc0"), /not a Ridge transaction/);
});

test("signatures are canonical and verify", async () => {
    for (let i = 0; i < 5; i++) {
        const signature = await signer.signMessage(`reading ${i}`);
        assert(BigInt(`0x${signature.slice(66)}`) < 2n ** 255n);
        assert(verify(signer.publicKey, new TextEncoder().encode(`reading ${i}`), signature));
        assert(!verify(signer.publicKey, new TextEncoder().encode(`reading ${i + 1}`), signature));
    }
});

test("a contract is deployed at the address that ethers computes", async () => {
    const factory = new ContractFactory(vaultArtefact.abi, vaultArtefact.bytecode, signer);
    vault = await factory.deploy(7);
    await vault.waitForDeployment();
    const receipt = await vault.deploymentTransaction().wait();
    assert.equal(receipt.status, 1);
    assert.equal(receipt.contractAddress.toLowerCase(), (await vault.getAddress()).toLowerCase());
    assert.equal(await vault.cap(), 7n);
    assert.notEqual(await provider.getCode(await vault.getAddress()), "0x");
});

test("a transaction changes state and its event is decoded", async () => {
    const sent = await vault.put("oil", 40);
    const receipt = await sent.wait();
    assert.equal(receipt.from.toLowerCase(), signer.address);
    const event = receipt.logs.map((log) => vault.interface.parseLog(log)).find((e) => e?.name === "Put");
    assert.equal(event.args.amount, 40n);
    assert.equal(event.args.tag.hash, keccakId("oil"));
    assert.equal(await vault.held(signer.address), 40n);
    assert.equal(await vault.put.staticCall("oil", 2), 42n);
    const found = await vault.queryFilter(vault.filters.Put(signer.address), receipt.blockNumber);
    assert.equal(found.length, 1);
    assert.equal(found[0].transactionHash, sent.hash);
});

test("what one node took, all nodes show", async () => {
    for (const url of urls) {
        const other = new RidgeProvider(url);
        const end = Date.now() + 30_000;
        while ((await new Contract(await vault.getAddress(), vaultArtefact.abi, other).held(signer.address)) !== 40n)
            assert(Date.now() < end, `${url} does not show it`);
        other.destroy();
    }
});

test("tuples with arrays go in and come out", async () => {
    await (await vault.record([{ note: "计量", amounts: [1n, 2n ** 255n] }, { note: "", amounts: [] }])).wait();
    const all = await vault.all();
    assert.deepEqual(all.map((e) => [e.note, [...e.amounts]]), [["计量", [1n, 2n ** 255n]], ["", []]]);
});

async function failure(promise) {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    return assert.fail("it did not fail");
}

test("each kind of failure has its reason", async () => {
    assert.equal(reasonOf(await failure(vault.take(1000)), vault.interface), "TooMuch(1000, 40)");
    assert.equal(reasonOf(await failure(vault.take.staticCall(1000)), vault.interface), "TooMuch(1000, 40)");
    assert.match(reasonOf(await failure(vault.refuse("no such meter")), vault.interface), /no such meter/);
    assert.match(reasonOf(await failure(vault.divide(1, 0))), /18|Panic|division/i);
    const factory = new ContractFactory(vaultArtefact.abi, vaultArtefact.bytecode, signer);
    assert.match(reasonOf(await failure(factory.deploy(0))), /a cap above 0/);
});

test("a failed transaction has a failed receipt", async () => {
    const sent = await vault.take(1000, { gasLimit: 200_000 });
    const error = await failure(sent.wait());
    assert.equal(error.code, "CALL_EXCEPTION");
    assert.equal(error.receipt.status, 0);
});

test("many transactions of one key need not wait for each other", async () => {
    const sent = await Promise.all(Array.from({ length: 20 }, () => vault.put("burst", 1)));
    const receipts = await Promise.all(sent.map((tx) => tx.wait()));
    assert(receipts.every((r) => r.status === 1));
    assert.equal(await vault.held(signer.address), 60n);
    assert.equal(new Set(sent.map((tx) => tx.nonce)).size, 20);
});

test("the same bytes are executed once", async () => {
    const raw = await signer.signTransaction(await vault.put.populateTransaction("once", 1));
    const id = await provider.sendRidgeTransaction(raw);
    await provider.waitForReceipt(id, { validUntil: parseTransaction(raw).validUntil });
    const error = await failure(provider.sendRidgeTransaction(raw));
    assert.match(JSON.stringify(error.error ?? error.info ?? error.message), /DUPLICATE/);
    assert.equal(await vault.held(signer.address), 61n);
});

test("a transaction that is too late, or of another chain, is refused by name", async () => {
    const key = sm3("0x02");
    const { chainId } = await provider.getNetwork();
    const fields = { chainId, nonce: 1, validUntil: 1, to: signer.address, gasLimit: 21000 };
    assert.match(JSON.stringify((await failure(provider.sendRidgeTransaction(signTransaction(fields, key).raw))).error), /EXPIRED/);
    const foreign = signTransaction({ ...fields, validUntil: 500, chainId: chainId + 1n }, key).raw;
    assert.match(JSON.stringify((await failure(provider.sendRidgeTransaction(foreign))).error), /WRONG_CHAIN/);
    await assert.rejects(provider.waitForReceipt(`0x${"11".repeat(32)}`, { validUntil: 1 }), /not included before/);
});

test("events reach a listener", async () => {
    const seen = new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error("no event within 30 s")), 30_000).unref();
        vault.once("Put", (who, tag, amount) => resolve(amount));
    });
    await provider.getBlockNumber();
    await (await vault.put("listened", 5)).wait();
    assert.equal(await seen, 5n);
});

test("a signer refuses what it cannot do, and says why", async () => {
    await assert.rejects(signer.signTypedData({}, {}, {}), /EIP-712/);
    await assert.rejects(RidgeSigner.random().sendTransaction({ to: signer.address }), /needs a provider/);
    await assert.rejects(signer.sendTransaction({ from: `0x${"12".repeat(20)}`, to: signer.address }), /this signer is/);
    assert.throws(() => new RidgeSigner("0x00"), /32 bytes/);
    assert.throws(() => new RidgeSigner(`0x${"00".repeat(32)}`), /1 to n-2/);
});

test("the example runs as it is written", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(here, "../examples/metering.mjs"), urls[0]], { timeout: 60_000 });
    assert.match(stdout, /is refused: (UnknownMeter|NotAuthorised)\(.*\ntotals: Result\(5\) \[ 2n, 61075n/);
});

test("types of a contract say what its methods take and give", () => {
    const text = typesOf("Vault", vaultArtefact.abi);
    assert.match(text, /"put": TypedContractMethod<\[tag: string, amount: BigNumberish\], \[bigint\], "nonpayable">/);
    assert.match(text, /"all": TypedContractMethod<\[\], \[Array<\(\[string, Array<bigint>\] & \{ "note": string; "amounts": Array<bigint> \}\)>\], "view">/);
});

test("the declarations are those of what is exported", async () => {
    for (const name of ["index", "keyfile", "abi-types"]) {
        const text = readFileSync(join(here, `../src/${name}.d.ts`), "utf8");
        const declared = [...text.matchAll(/^export declare (?:function|class) (\w+)/gm)].map((m) => m[1]);
        assert.deepEqual(declared.sort(), Object.keys(await import(`../src/${name}.js`)).sort(), name);
    }
});

// In a folder of the package, so that "@ridge/ethers" is found as a user's import finds it.
test("the compiler takes and refuses what it should, and the example with a contract's types runs", async () => {
    const folder = mkdtempSync(join(here, "../typed-"));
    const run = (...args) => promisify(execFile)(process.execPath, args, { cwd: folder, timeout: 200_000 });
    try {
        const artefact = join(here, "../../../contracts/artifacts/Metering.json");
        writeFileSync(join(folder, "Metering.ts"), (await run(join(here, "../src/abi-types.js"), artefact)).stdout);
        writeFileSync(join(folder, "Vault.ts"), typesOf("Vault", vaultArtefact.abi));
        for (const [from, to] of [["test/types.ts", "types.ts"], ["examples/typed.ts", "typed.ts"], ["src/index.d.ts", "index.ts"], ["src/keyfile.d.ts", "keyfile.ts"], ["src/abi-types.d.ts", "abi-types.ts"]])
            writeFileSync(join(folder, to), readFileSync(join(here, "..", from)));
        // Declarations as sources: those of ethers are not checked again, which takes longer than all the rest.
        const options = ["--skipLibCheck", "--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--target", "es2022", "--module", "nodenext"];
        const files = ["types.ts", "typed.ts", "index.ts", "keyfile.ts", "abi-types.ts"];
        await run(join(here, "../node_modules/typescript/bin/tsc"), ...options, ...files).catch((error) => assert.fail(error.stdout));
        const { stdout } = await run("typed.js", urls[0], artefact);
        assert.match(stdout, /^2 readings, together 61075\nrefused: UnknownMeter\(/);
    } finally {
        rmSync(folder, { recursive: true });
    }
});

await main();
