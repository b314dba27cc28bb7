export declare function typesOf(name: string, abi: unknown[]): string;
