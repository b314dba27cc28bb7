// Deploys contracts/artifacts/Metering.json, registers a meter, stores readings and reads them back.
//   node metering.mjs http://127.0.0.1:8545 KEYFILE        (the passphrase in $RIDGE_PASSPHRASE_FILE, if the key has one)
import { readFileSync } from "node:fs";
import { ContractFactory, encodeBytes32String } from "ethers";
import { RidgeProvider, RidgeSigner, reasonOf } from "@ridge/ethers";
import { loadKey } from "@ridge/ethers/keyfile";

/** @typedef {import("./Metering.d.ts").Metering} Metering   made by: npx ridge-abi-types Metering.json > Metering.d.ts */

const [url, keyFile] = process.argv.slice(2);
const secret = process.env.RIDGE_PASSPHRASE_FILE;
const passphrase = secret ? readFileSync(secret, "utf8").split("\n")[0] : "";
const artefact = JSON.parse(readFileSync(new URL("../../../contracts/artifacts/Metering.json", import.meta.url), "utf8"));

const provider = new RidgeProvider(url);
const signer = keyFile ? new RidgeSigner(await loadKey(keyFile, passphrase), provider) : RidgeSigner.random(provider);
const factory = new ContractFactory(artefact.abi, artefact.bytecode, signer);
const deployed = await factory.deploy();
await deployed.waitForDeployment();
const metering = /** @type {Metering} */ (/** @type {unknown} */ (deployed));
console.log(`contract ${await deployed.getAddress()}, account ${signer.address}`);

const meter = encodeBytes32String("m1");
await (await metering.registerMeter(meter, 0, 1_000_000)).wait();
await (await metering.submit(meter, [1467331200, 1467331260], [30531, 30544])).wait();
try {
    await metering.submit.staticCall(encodeBytes32String("m2"), [1467331200], [1]);
} catch (error) {
    console.log(`a meter that nobody registered is refused: ${reasonOf(error, deployed.interface)}`);
}
console.log("totals:", await metering.totals(meter));
provider.destroy();
