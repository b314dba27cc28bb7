import type { AbstractSigner, BigNumberish, BytesLike, Interface, JsonRpcApiProviderOptions, JsonRpcProvider, Networkish, Provider, TransactionReceipt, TransactionRequest, TransactionResponse, TypedDataDomain, TypedDataField } from "ethers";

export declare function sm3(data: BytesLike): string;
export declare function publicKeyOf(privateKey: BytesLike): string;
export declare function addressOf(publicKey: BytesLike): string;
export declare function randomPrivateKey(): string;
export declare function sign(privateKey: BytesLike, message: BytesLike): string;
export declare function verify(publicKey: BytesLike, message: BytesLike, signature: BytesLike): boolean;

export interface RidgeTransaction {
    chainId: BigNumberish;
    nonce: BigNumberish;
    validUntil: BigNumberish;
    to?: string | null;
    value?: BigNumberish;
    gasLimit: BigNumberish;
    data?: BytesLike;
}
export interface ParsedTransaction {
    id: string;
    from: string;
    publicKey: string;
    signature: string;
    chainId: bigint;
    nonce: number;
    validUntil: bigint;
    to: string | null;
    value: bigint;
    gasLimit: bigint;
    data: string;
    contract: string | null;
}
export declare function randomNonce(): number;
export declare function signTransaction(fields: RidgeTransaction, privateKey: BytesLike): { id: string; raw: string; from: string };
export declare function parseTransaction(raw: BytesLike): ParsedTransaction;

export declare class RidgeProvider extends JsonRpcProvider {
    constructor(url: string, network?: Networkish, options?: JsonRpcApiProviderOptions);
    sendRidgeTransaction(raw: BytesLike): Promise<string>;
    waitForReceipt(id: string, options?: { timeout?: number; validUntil?: BigNumberish; interval?: number }): Promise<TransactionReceipt>;
}
export declare class RidgeSigner extends AbstractSigner<Provider | null> {
    readonly address: string;
    readonly publicKey: string;
    readonly validFor: number;
    constructor(privateKey: BytesLike, provider?: Provider | null, options?: { validFor?: number });
    static random(provider?: Provider | null, options?: { validFor?: number }): RidgeSigner;
    connect(provider: Provider | null): RidgeSigner;
    getAddress(): Promise<string>;
    populateRidgeTransaction(request: TransactionRequest): Promise<RidgeTransaction>;
    signTransaction(request: TransactionRequest): Promise<string>;
    sendTransaction(request: TransactionRequest): Promise<TransactionResponse>;
    signMessage(message: string | Uint8Array): Promise<string>;
    signTypedData(domain: TypedDataDomain, types: Record<string, TypedDataField[]>, value: Record<string, unknown>): Promise<string>;
}
export declare function reasonOf(error: unknown, contractInterface?: Interface | null): string;
