#!/usr/bin/env node
// Writes TypeScript types of a contract from its ABI, so that a wrong method, argument or result is the compiler's error:
//   ridge-abi-types Metering.json > Metering.d.ts
//   const metering = new Contract(address, abi, signer) as unknown as Metering;
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** The TypeScript type of a parameter; what goes in may be given more freely than what comes out. */
function typeOf(param, input) {
    const array = /^(.*)\[(\d*)\]$/.exec(param.type);
    if (array) {
        const of = typeOf({ ...param, type: array[1] }, input);
        return array[2] && Number(array[2]) <= 16 ? `[${Array(Number(array[2])).fill(of).join(", ")}]` : `Array<${of}>`;
    }
    if (param.type === "tuple") {
        const fields = param.components.map((c, i) => `${JSON.stringify(c.name || String(i))}: ${typeOf(c, input)}`);
        const list = `[${param.components.map((c) => typeOf(c, input)).join(", ")}]`;
        const named = `{ ${fields.join("; ")} }`;
        return input ? `(${named} | ${list})` : `(${list} & ${named})`;
    }
    if (/^u?int/.test(param.type)) return input ? "BigNumberish" : "bigint";
    if (param.type === "bool") return "boolean";
    if (param.type === "address") return input ? "AddressLike" : "string";
    if (param.type === "string") return "string";
    return input ? "BytesLike" : "string";
}

function methodOf(entry) {
    const names = new Set();
    const args = entry.inputs.map((p, i) => {
        const name = /^[A-Za-z_$][\w$]*$/.test(p.name) && !names.has(p.name) ? p.name : `arg${i}`;
        names.add(name);
        return `${name}: ${typeOf(p, true)}`;
    });
    const outputs = entry.outputs ?? [];
    const result =
        outputs.length === 1
            ? typeOf(outputs[0], false)
            : `[${outputs.map((p) => typeOf(p, false)).join(", ")}]${outputs.some((p) => p.name) ? ` & { ${outputs.filter((p) => p.name).map((p) => `${p.name}: ${typeOf(p, false)}`).join("; ")} }` : ""}`;
    const view = entry.stateMutability === "view" || entry.stateMutability === "pure";
    return `TypedContractMethod<[${args.join(", ")}], [${outputs.length ? result : "void"}], ${JSON.stringify(view ? "view" : entry.stateMutability)}>`;
}

/** The text of the .d.ts file. Overloaded methods are left to contract.getFunction(signature). */
export function typesOf(name, abi) {
    const functions = abi.filter((e) => e.type === "function");
    const once = functions.filter((e) => functions.filter((o) => o.name === e.name).length === 1);
    const methods = once.map((e) => `    ${JSON.stringify(e.name)}: ${methodOf(e)};`);
    return `// Made by ridge-abi-types. Do not edit.
import type { AddressLike, BaseContract, BigNumberish, BytesLike, ContractTransactionResponse, Overrides } from "ethers";

export interface TypedContractMethod<A extends unknown[], R extends [unknown], S extends string> {
    (...args: [...A, overrides?: Overrides]): Promise<S extends "view" ? R[0] : ContractTransactionResponse>;
    staticCall(...args: [...A, overrides?: Overrides]): Promise<R[0]>;
    estimateGas(...args: [...A, overrides?: Overrides]): Promise<bigint>;
}

export interface ${name} extends Omit<BaseContract, ${once.map((e) => JSON.stringify(e.name)).join(" | ") || "never"}> {
${methods.join("\n")}
}
`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    const path = process.argv[2];
    if (!path) {
        console.error("usage: ridge-abi-types ARTEFACT.json > CONTRACT.d.ts");
        process.exit(2);
    }
    const artefact = JSON.parse(readFileSync(path, "utf8"));
    const name = artefact.contractName ?? path.replace(/^.*\//, "").replace(/\.json$/, "");
    process.stdout.write(typesOf(name, Array.isArray(artefact) ? artefact : artefact.abi));
}
