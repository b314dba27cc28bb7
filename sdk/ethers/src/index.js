export { addressOf, publicKeyOf, randomPrivateKey, sign, sm3, verify } from "./sm2.js";
export { parseTransaction, randomNonce, signTransaction } from "./transaction.js";
export { RidgeProvider, RidgeSigner, reasonOf } from "./signer.js";
