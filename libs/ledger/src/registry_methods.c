#include "registry_call.h"

/* deploy and upgrade as transactions never come here: executor.c runs them. What comes is a contract's call. */
static const char *only_direct(registry_run_t *r, const json_t *args) {
    (void)r, (void)args;
    return "only a transaction sent to the registry itself may deploy";
}

#define DEPLOY_INPUTS "string name,bytes initCode,bytes32 abiDigest"
#define DEPLOY_OUTPUTS "uint32 version,address contractAddress"
#define NAMED "string name,uint32 version"
#define ADDRESS "address contractAddress"
#define DIGEST "bytes32 initCodeDigest"
#define PROPOSAL "uint64 proposal"

static const registry_method_t methods[] = {
    {"deploy", DEPLOY_INPUTS, DEPLOY_OUTPUTS, REGISTRY_SENDERS, only_direct},
    {"upgrade", DEPLOY_INPUTS, DEPLOY_OUTPUTS, REGISTRY_SENDERS, only_direct},
    {"register", "string name,address contractAddress,uint64 nonce,bytes32 abiDigest", "", REGISTRY_SENDERS,
     registry_register},
    {"registerFor", "string name,address contractAddress,address owner,bytes32 abiDigest", PROPOSAL,
     REGISTRY_ADMINS, registry_register_for},
    {"freeze", NAMED, PROPOSAL, REGISTRY_OWNERS, registry_freeze},
    {"unfreeze", NAMED, PROPOSAL, REGISTRY_OWNERS, registry_unfreeze},
    {"revoke", NAMED, PROPOSAL, REGISTRY_OWNERS, registry_revoke},
    {"transferOwnership", "string name,address newOwner", PROPOSAL, REGISTRY_OWNERS, registry_transfer},
    {"freezeContract", ADDRESS, PROPOSAL, REGISTRY_ADMINS, registry_freeze_contract},
    {"unfreezeContract", ADDRESS, PROPOSAL, REGISTRY_ADMINS, registry_unfreeze_contract},
    {"revokeContract", ADDRESS, PROPOSAL, REGISTRY_ADMINS, registry_revoke_contract},
    {"setDeployPolicy", "uint8 policy", PROPOSAL, REGISTRY_ADMINS, registry_set_policy},
    {"addDeployer", "address account", PROPOSAL, REGISTRY_ADMINS, registry_deployer_add},
    {"removeDeployer", "address account", PROPOSAL, REGISTRY_ADMINS, registry_deployer_remove},
    {"approveCode", DIGEST, PROPOSAL, REGISTRY_ADMINS, registry_approve_code},
    {"disapproveCode", DIGEST, PROPOSAL, REGISTRY_ADMINS, registry_disapprove_code},
    {"resolve", "string name", ADDRESS, REGISTRY_VIEW, registry_view_resolve},
    {"contractOf", "string name",
     "address owner,uint32 active,uint32 versionCount,address contractAddress,uint8 status", REGISTRY_VIEW,
     registry_view_contract},
    {"versionOf", NAMED,
     "address contractAddress,uint8 status,bytes32 abiDigest,bytes32 codeHash,address deployer,uint64 height",
     REGISTRY_VIEW, registry_view_version},
    {"versions", "string name,uint32 from,uint32 limit",
     "address[] addresses,uint8[] statuses,bytes32[] abiDigests,uint64[] heights", REGISTRY_VIEW,
     registry_view_versions},
    {"nameOf", ADDRESS, NAMED, REGISTRY_VIEW, registry_view_name_of},
    {"statusOf", ADDRESS, "uint8 status", REGISTRY_VIEW, registry_view_status},
    {"nameCount", "", "uint64 count", REGISTRY_VIEW, registry_view_name_count},
    {"names", "uint64 from,uint32 limit", "string[] list", REGISTRY_VIEW, registry_view_names},
    {"deployPolicy", "", "uint8 policy", REGISTRY_VIEW, registry_view_policy},
    {"mayDeploy", "address account", "bool may", REGISTRY_VIEW, registry_view_may_deploy},
    {"deployers", "uint32 from,uint32 limit", "address[] list", REGISTRY_VIEW, registry_view_deployers},
    {"isCodeApproved", DIGEST, "bool approved", REGISTRY_VIEW, registry_view_code},
};

const registry_method_t *registry_method(rdg_bytes_t data) {
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; ++i)
        if (native_is_method(methods[i].name, methods[i].inputs, data)) return &methods[i];
    return NULL;
}
