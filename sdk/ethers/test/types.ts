// Checked by the compiler, never run: what the declarations promise, and what they must refuse.
import { Contract, type Signer, type TransactionReceipt } from "ethers";
import * as ridge from "@ridge/ethers";
import { loadKey, openKey } from "@ridge/ethers/keyfile";
import type { Vault } from "./Vault.js";

const provider: ridge.RidgeProvider = new ridge.RidgeProvider("http://127.0.0.1:8545", undefined, { pollingInterval: 100 });
const key: string = await openKey("", "passphrase");
const kept: string = await loadKey("mine.key");
const signer: Signer = new ridge.RidgeSigner(key, provider, { validFor: 100 });
const another: ridge.RidgeSigner = ridge.RidgeSigner.random().connect(provider);
const signed: { id: string; raw: string; from: string } = ridge.signTransaction({ chainId: 7, nonce: 5, validUntil: 100n, gasLimit: 21000 }, kept);
const parsed: ridge.ParsedTransaction = ridge.parseTransaction(signed.raw);
const receipt: TransactionReceipt = await provider.waitForReceipt(await provider.sendRidgeTransaction(signed.raw), { validUntil: parsed.validUntil });
const texts: string[] = [ridge.sm3("0x"), ridge.publicKeyOf(key), ridge.addressOf("0x"), ridge.randomPrivateKey(), ridge.sign(key, "0x01"), ridge.reasonOf(receipt)];
const yes: boolean = ridge.verify("0x", "0x", await another.signMessage("a"));
const nonce: number = ridge.randomNonce();

// @ts-expect-error a transaction needs its last height
ridge.signTransaction({ chainId: 7, nonce, gasLimit: 21000 }, key);
// @ts-expect-error there is no such option
new ridge.RidgeSigner(key, provider, { validfor: 100 });
// @ts-expect-error a passphrase is text
await openKey("", 7);

const vault = new Contract(texts[0]!, [], signer) as unknown as Vault;
const sent = await vault.put("oil", 40);
await sent.wait(yes ? 1 : 0);
const held: bigint = await vault.held(signer);
const before: bigint = await vault.put.staticCall("oil", held);
const entries: Array<[string, bigint[]] & { note: string; amounts: bigint[] }> = await vault.all();
await vault.record([{ note: "a", amounts: [before] }, ["b", [1, "2"]]]);
entries[0]!.amounts[0]!.toString();

// @ts-expect-error no such method
await vault.putt("oil", 40);
// @ts-expect-error an argument is missing
await vault.put("oil");
// @ts-expect-error text where a number belongs
await vault.take({ amount: 1 });
// @ts-expect-error a view gives a value, no transaction
(await vault.held(signer)).wait();
// @ts-expect-error a field of the tuple is missing
await vault.record([{ note: "a" }]);
