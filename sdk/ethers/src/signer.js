import { AbstractSigner, JsonRpcProvider, TransactionResponse, copyRequest, getBytes, hexlify, resolveAddress, resolveProperties } from "ethers";
import { addressOf, publicKeyOf, randomPrivateKey, sign } from "./sm2.js";
import { NONCE_LIMIT, VALID_MAX, randomNonce, signTransaction } from "./transaction.js";

/**
 * Asks for one receipt until it is there. ethers asks when a block comes; the transaction's own may come between two of its
 * questions, and an idle chain makes no other.
 */
class ReceiptSubscriber {
    #provider;
    #hash;
    #timer = null;
    #running = false;

    constructor(provider, hash) {
        this.#provider = provider;
        this.#hash = hash;
    }

    start() {
        if (this.#running) return;
        this.#running = true;
        this.#ask();
    }

    stop() {
        this.#running = false;
        if (this.#timer !== null) this.#provider._clearTimeout(this.#timer);
        this.#timer = null;
    }

    pause() {
        this.stop();
    }

    resume() {
        this.start();
    }

    async #ask() {
        const receipt = await this.#provider.getTransactionReceipt(this.#hash).catch(() => null); // asked again below
        if (!this.#running) return;
        if (receipt) await this.#provider.emit(this.#hash, receipt);
        if (this.#running) this.#timer = this.#provider._setTimeout(() => this.#ask(), this.#provider.pollingInterval);
    }
}

/** A JsonRpcProvider for a Ridge node: asks often, because blocks come fast, and knows a node's error names. */
export class RidgeProvider extends JsonRpcProvider {
    constructor(url, network, options) {
        super(url, network, { polling: true, pollingInterval: 200, staticNetwork: true, cacheTimeout: -1, ...options });
    }

    _getSubscriber(subscription) {
        return subscription.type === "transaction" ? new ReceiptSubscriber(this, subscription.hash) : super._getSubscriber(subscription);
    }

    /** Sends a signed transaction; the node's acceptance is no receipt. Answers its id. */
    async sendRidgeTransaction(raw) {
        return this.send("ridge_sendTransaction", [hexlify(raw)]);
    }

    /** The receipt once there is one. Throws when there is none in time, or when the chain has passed validUntil. */
    async waitForReceipt(id, { timeout = 60_000, validUntil = undefined, interval = 50 } = {}) {
        const end = Date.now() + timeout;
        for (;;) {
            // The head is read before the receipt: a head past validUntil then proves absence.
            const head = validUntil === undefined ? 0n : BigInt(await this.send("eth_blockNumber", []));
            const receipt = await this.getTransactionReceipt(id);
            if (receipt) return receipt;
            if (validUntil !== undefined && head >= BigInt(validUntil))
                throw new Error(`transaction ${id} was not included before its last valid height ${validUntil}: sign it anew`);
            if (Date.now() >= end) throw new Error(`transaction ${id} has no receipt after ${timeout} ms; it may still be included`);
            await new Promise((resolve) => setTimeout(resolve, interval));
        }
    }
}

/** An ethers Signer with an SM2 key. Everything that takes a Signer works with it: Contract, ContractFactory, … */
export class RidgeSigner extends AbstractSigner {
    #privateKey;

    /** privateKey: 32 bytes or "0x…" (keyfile.js reads files). validFor: blocks in which a transaction may be included. */
    constructor(privateKey, provider = null, { validFor = 1000 } = {}) {
        super(provider);
        if (BigInt(validFor) < 1n || BigInt(validFor) > VALID_MAX) throw new RangeError(`validFor is 1 to ${VALID_MAX} blocks`);
        this.#privateKey = getBytes(privateKey);
        this.validFor = validFor;
        this.publicKey = publicKeyOf(this.#privateKey);
        this.address = addressOf(this.publicKey);
    }

    static random(provider = null, options) {
        return new RidgeSigner(randomPrivateKey(), provider, options);
    }

    connect(provider) {
        return new RidgeSigner(this.#privateKey, provider, { validFor: this.validFor });
    }

    async getAddress() {
        return this.address;
    }

    /** Nonces are random here; this is what sendTransaction does when none is given. */
    async getNonce() {
        return randomNonce();
    }

    /** {chainId, nonce, validUntil, to, value, gasLimit, data} of a request, with what is missing filled in. */
    async populateRidgeTransaction(request) {
        const tx = copyRequest(await resolveProperties(request));
        const provider = this.#needProvider("populateTransaction");
        const to = tx.to ? (await resolveAddress(tx.to, this)).toLowerCase() : null;
        if (tx.from && (await resolveAddress(tx.from, this)).toLowerCase() !== this.address)
            throw new TypeError(`from is ${tx.from}, this signer is ${this.address}`);
        const [network, head] = await Promise.all([provider.getNetwork(), provider.getBlockNumber()]);
        const call = { from: this.address, to, value: tx.value ?? 0n, data: tx.data ?? "0x" };
        const gasLimit = tx.gasLimit ?? ((await provider.estimateGas(call)) * 5n) / 4n;
        const nonce = tx.nonce ?? randomNonce();
        if (BigInt(nonce) >= NONCE_LIMIT) throw new RangeError("a nonce is below 2^53");
        return { ...call, chainId: network.chainId, nonce, validUntil: BigInt(head) + BigInt(this.validFor), gasLimit };
    }

    /** The wire form, for provider.send("ridge_sendTransaction", …). */
    async signTransaction(request) {
        return signTransaction(await this.populateRidgeTransaction(request), this.#privateKey).raw;
    }

    async sendTransaction(request) {
        const provider = this.#needProvider("sendTransaction");
        const fields = await this.populateRidgeTransaction(request);
        const { id, raw } = signTransaction(fields, this.#privateKey);
        await provider.send("ridge_sendTransaction", [raw]);
        // What the node would answer to eth_getTransactionByHash, without waiting until it does.
        return new TransactionResponse(
            {
                ...fields,
                hash: id,
                from: this.address,
                index: 0,
                type: 0,
                gasPrice: 0n,
                accessList: null,
                blockNumber: null,
                blockHash: null,
                signature: { r: `0x${"00".repeat(31)}01`, s: `0x${"00".repeat(31)}01`, v: 27 },
            },
            provider,
        );
    }

    /** SM2 over the message's bytes (a string as UTF-8): r‖s. Not Ethereum's personal message. */
    async signMessage(message) {
        return sign(this.#privateKey, typeof message === "string" ? new TextEncoder().encode(message) : message);
    }

    async signTypedData() {
        throw new Error("typed data (EIP-712) is recovered from secp256k1 signatures: SM2 has no such form");
    }

    #needProvider(what) {
        if (!this.provider) throw new Error(`${what} needs a provider: signer.connect(new RidgeProvider(url))`);
        return this.provider;
    }
}

/** The error of a call or transaction as a sentence, custom errors by the contract's interface. */
export function reasonOf(error, contractInterface = null) {
    const data = error?.data ?? error?.info?.error?.data;
    if (contractInterface && typeof data === "string" && data.length >= 10) {
        const parsed = contractInterface.parseError(data);
        if (parsed) return `${parsed.name}(${parsed.args.map(String).join(", ")})`;
    }
    if (error?.revert) return `${error.revert.name}(${error.revert.args.map(String).join(", ")})`;
    return error?.reason ?? error?.shortMessage ?? String(error?.message ?? error);
}
