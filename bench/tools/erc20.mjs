// The artefact of OpenZeppelin's ERC-20 (Coin of tests/ethereum/Zeppelin.sol), compiled by npm's solc, to standard output.
import { compile } from "../../tests/ethereum/kit.mjs";

process.stdout.write(JSON.stringify(compile("Zeppelin.sol").Coin));
