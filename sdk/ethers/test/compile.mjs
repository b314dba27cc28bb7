// Solidity through npm's solc: {ContractName: {abi, bytecode}} of one source, imports found by `find(path)`.
import solc from "solc";

export function compile(file, source, find = () => ({ error: "no imports here" })) {
    const input = {
        language: "Solidity",
        sources: { [file]: { content: source } },
        settings: {
            evmVersion: "cancun",
            optimizer: { enabled: true, runs: 200 },
            outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
        },
    };
    const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
    // solc reports errors in its answer only.
    const errors = (output.errors ?? []).filter((e) => e.severity === "error");
    if (errors.length) throw new Error(errors.map((e) => e.formattedMessage).join("\n"));
    const found = {};
    for (const contracts of Object.values(output.contracts))
        for (const [name, c] of Object.entries(contracts)) found[name] = { abi: c.abi, bytecode: `0x${c.evm.bytecode.object}` };
    return found;
}
