// Compiles the contracts with npm's solc and writes artifacts/NAME.json.
//
//   node build.mjs           writes the artefacts
//   node build.mjs --check   compiles and compares with the committed ones; writes nothing
//
// The artefact is a function of the source, this file and the compiler's version: the metadata hash is left
// out of the bytecode, so the same source gives the same bytes on every machine.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const contracts = ["Metering", "Governance", "Registry", "ArchiveRegistry", "Notes", "NotesNext"];

function compile(name) {
    const source = readFileSync(join(here, `${name}.sol`), "utf8");
    const output = JSON.parse(
        solc.compile(
            JSON.stringify({
                language: "Solidity",
                sources: { [`${name}.sol`]: { content: source } },
                settings: {
                    evmVersion: "cancun",
                    viaIR: true,
                    optimizer: { enabled: true, runs: 200 },
                    metadata: { bytecodeHash: "none", appendCBOR: false },
                    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
                },
            }),
        ),
    );
    // solc reports errors in its answer only; a warning is refused too, so that the source stays clean.
    const errors = (output.errors ?? []).filter((e) => e.severity !== "info");
    if (errors.length) throw new Error(errors.map((e) => e.formattedMessage).join("\n"));
    const contract = output.contracts[`${name}.sol`][name];
    return {
        contractName: name,
        abi: contract.abi,
        bytecode: `0x${contract.evm.bytecode.object}`,
        deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
        compiler: `solc ${solc.version()}, evmVersion cancun, viaIR, optimizer 200 runs`,
        sourceSha256: createHash("sha256").update(source).digest("hex"),
    };
}

const check = process.argv.includes("--check");
let failed = 0;
for (const name of contracts) {
    const path = join(here, "artifacts", `${name}.json`);
    const text = `${JSON.stringify(compile(name), null, 2)}\n`;
    if (!check) {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, text);
        console.log(`${name}: ${text.length} bytes`);
    } else if (readFileSync(path, "utf8") === text) {
        console.log(`ok ${name}: the artefact is what the source compiles to`);
    } else {
        console.log(`not ok ${name}: artifacts/${name}.json is not what ${name}.sol compiles to; run: node build.mjs`);
        failed++;
    }
}
if (check) console.log(`${contracts.length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
