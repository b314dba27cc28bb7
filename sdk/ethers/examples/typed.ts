// A contract with its types: a wrong method, argument or result is the compiler's error, before anything is sent.
//   npx ridge-abi-types ../../../contracts/artifacts/Metering.json > Metering.d.ts
//   npx tsc --strict --module nodenext typed.ts && node typed.js http://127.0.0.1:8545
import { readFileSync } from "node:fs";
import { ContractFactory, encodeBytes32String } from "ethers";
import { RidgeProvider, RidgeSigner, reasonOf } from "@ridge/ethers";
import type { Metering } from "./Metering.js";

const [url = "http://127.0.0.1:8545", path = "../../../contracts/artifacts/Metering.json"] = process.argv.slice(2);
const artefact = JSON.parse(readFileSync(path, "utf8"));
const provider = new RidgeProvider(url);
const signer = RidgeSigner.random(provider); // `loadKey` of @ridge/ethers/keyfile opens one that is kept

const deployed = await new ContractFactory(artefact.abi, artefact.bytecode, signer).deploy();
await deployed.waitForDeployment();
const metering = deployed as unknown as Metering;

const meter = encodeBytes32String("t1-oil");
await (await metering.registerMeter(meter, 0, 1_000_000)).wait();
await (await metering.submit(meter, [1467331200, 1467331260], [30531n, 30544n])).wait();

const { count, sum } = await metering.totals(meter); // both are bigint, and the editor knows it
console.log(`${count} readings, together ${sum}`);
try {
    await metering.submit.staticCall(encodeBytes32String("t2-oil"), [1467331200], [1]);
} catch (error) {
    console.log(`refused: ${reasonOf(error, deployed.interface)}`);
}
provider.destroy();
