export declare function openKey(text: string, passphrase?: string): Promise<string>;
export declare function loadKey(path: string, passphrase?: string): Promise<string>;
