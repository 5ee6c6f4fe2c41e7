//! The table: what GuardDuty finds, and what Rescind does about it.
//!
//! The types are those of the Amazon GuardDuty user guide, *GuardDuty active finding types*; a test holds the table against
//! that list. The responses follow its *Remediating security issues discovered by GuardDuty*, as far as they can be undone.

use super::{Response, Row};

const TELL: &[Response] = &[Response::Tell];
const ISOLATE: &[Response] = &[Response::Isolate];
const ISOLATE_ACTOR: &[Response] = &[Response::IsolateActor];
const DEACTIVATE: &[Response] = &[Response::Deactivate];
const INSTANCES: &[Response] = &[Response::Isolate, Response::Deactivate];
const OPEN_PORT: &[Response] = &[Response::TakeBack("open-security-group-ingress")];
const GUESSED: &[Response] =
    &[Response::IsolateActor, Response::TakeBack("open-security-group-ingress"), Response::Block];
const LISTED: &[Response] = &[Response::IsolateActor, Response::Block];
const ROOT: &[Response] = &[Response::TakeBack("root-used")];
const TRAIL: &[Response] = &[Response::TakeBack("trail-stopped")];
const PASSWORDS: &[Response] = &[Response::TakeBack("password-policy-weakened")];
const BUCKET: &[Response] = &[Response::TakeBack("bucket-public-access-block-removed")];
const ACCOUNT: &[Response] = &[Response::TakeBack("account-public-access-block-removed")];

pub(super) const ROWS: &[Row] = &[
    // EC2
    Row {
        kinds: &[
            "Backdoor:EC2/C&CActivity.B",
            "Backdoor:EC2/C&CActivity.B!DNS",
            "Trojan:EC2/BlackholeTraffic",
            "Trojan:EC2/BlackholeTraffic!DNS",
            "Trojan:EC2/DGADomainRequest.B",
            "Trojan:EC2/DGADomainRequest.C!DNS",
            "Trojan:EC2/DropPoint",
            "Trojan:EC2/DropPoint!DNS",
        ],
        responses: ISOLATE_ACTOR,
        reason: "somebody else gives it orders",
    },
    Row {
        kinds: &[
            "Backdoor:EC2/DenialOfService.Dns",
            "Backdoor:EC2/DenialOfService.Tcp",
            "Backdoor:EC2/DenialOfService.Udp",
            "Backdoor:EC2/DenialOfService.UdpOnTcpPorts",
            "Backdoor:EC2/DenialOfService.UnusualProtocol",
            "Backdoor:EC2/Spambot",
            "Impact:EC2/PortSweep",
            "Impact:EC2/WinRMBruteForce",
            "Recon:EC2/Portscan",
        ],
        responses: ISOLATE_ACTOR,
        reason: "it attacks others",
    },
    Row {
        kinds: &[
            "CryptoCurrency:EC2/BitcoinTool.B",
            "CryptoCurrency:EC2/BitcoinTool.B!DNS",
            "Impact:EC2/BitcoinDomainRequest.Reputation",
        ],
        responses: ISOLATE_ACTOR,
        reason: "it works for a miner",
    },
    Row {
        kinds: &[
            "Trojan:EC2/DNSDataExfiltration",
            "Trojan:EC2/DriveBySourceTraffic!DNS",
            "Trojan:EC2/PhishingDomainRequest!DNS",
            "Impact:EC2/MaliciousDomainRequest.Reputation",
            "Impact:EC2/MaliciousDomainRequest.Custom",
        ],
        responses: ISOLATE_ACTOR,
        reason: "it asks for names that only hostile software or a victim asks for",
    },
    Row {
        kinds: &["UnauthorizedAccess:EC2/TorClient", "UnauthorizedAccess:EC2/TorRelay"],
        responses: ISOLATE_ACTOR,
        reason: "it takes part in Tor, as those do who hide",
    },
    Row {
        kinds: &["UnauthorizedAccess:EC2/RDPBruteForce", "UnauthorizedAccess:EC2/SSHBruteForce"],
        responses: GUESSED,
        reason: "an actor guesses the passwords of others; a target has a port open to whoever guesses its own",
    },
    Row {
        kinds: &["UnauthorizedAccess:EC2/MaliciousIPCaller.Custom"],
        responses: LISTED,
        reason: "the other end is on a threat list of the owner",
    },
    Row {
        kinds: &["Recon:EC2/PortProbeEMRUnprotectedPort", "Recon:EC2/PortProbeUnprotectedPort"],
        responses: OPEN_PORT,
        reason: "a port is open to scanners; their addresses may be forged, so none is blocked",
    },
    Row {
        kinds: &["UnauthorizedAccess:EC2/MetadataDNSRebind", "UnauthorizedAccess:Runtime/MetadataDNSRebind"],
        responses: ISOLATE_ACTOR,
        reason: "a name that points to the instance metadata; whoever can have a name looked up can cause it",
    },
    Row {
        kinds: &[
            "Behavior:EC2/NetworkPortUnusual",
            "Behavior:EC2/TrafficVolumeUnusual",
            "DefenseEvasion:EC2/UnusualDNSResolver",
            "DefenseEvasion:EC2/UnusualDoHActivity",
            "DefenseEvasion:EC2/UnusualDoTActivity",
        ],
        responses: TELL,
        reason: "unusual is not hostile yet",
    },
    Row {
        kinds: &[
            "Impact:EC2/AbusedDomainRequest.Reputation",
            "Impact:EC2/SuspiciousDomainRequest.Reputation",
            "Impact:Runtime/AbusedDomainRequest.Reputation",
            "Impact:Runtime/SuspiciousDomainRequest.Reputation",
        ],
        responses: TELL,
        reason: "a name of poor reputation may be asked for honestly",
    },
    // Malware
    Row {
        kinds: &["Execution:EC2/MaliciousFile", "Execution:EC2/SuspiciousFile"],
        responses: ISOLATE,
        reason: "malware is on its volume",
    },
    Row {
        kinds: &[
            "Execution:Container/MaliciousFile",
            "Execution:Container/SuspiciousFile",
            "Execution:ECS/MaliciousFile",
            "Execution:ECS/SuspiciousFile",
            "Execution:Kubernetes/MaliciousFile",
            "Execution:Kubernetes/SuspiciousFile",
        ],
        responses: TELL,
        reason: "malware in a container: its host serves others, too",
    },
    Row {
        kinds: &[
            "Execution:EC2/MaliciousFile!Snapshot",
            "Execution:EC2/MaliciousFile!AMI",
            "Execution:EC2/MaliciousFile!RecoveryPoint",
            "Execution:S3/MaliciousFile!RecoveryPoint",
        ],
        responses: TELL,
        reason: "malware in a backup does nothing until it is restored",
    },
    Row {
        kinds: &["Object:S3/MaliciousFile"],
        responses: TELL,
        reason: "GuardDuty itself tags the object, and the bucket's policy can refuse it",
    },
    // Runtime
    Row {
        kinds: &[
            "Backdoor:Runtime/C&CActivity.B",
            "Backdoor:Runtime/C&CActivity.B!DNS",
            "Trojan:Runtime/BlackholeTraffic",
            "Trojan:Runtime/BlackholeTraffic!DNS",
            "Trojan:Runtime/DropPoint",
            "Trojan:Runtime/DropPoint!DNS",
            "Trojan:Runtime/DGADomainRequest.C!DNS",
            "Trojan:Runtime/DriveBySourceTraffic!DNS",
            "Trojan:Runtime/PhishingDomainRequest!DNS",
            "UnauthorizedAccess:Runtime/TorClient",
            "UnauthorizedAccess:Runtime/TorRelay",
            "Impact:Runtime/MaliciousDomainRequest.Reputation",
        ],
        responses: ISOLATE,
        reason: "a process of its talks to a hostile host",
    },
    Row {
        kinds: &[
            "CryptoCurrency:Runtime/BitcoinTool.B",
            "CryptoCurrency:Runtime/BitcoinTool.B!DNS",
            "Impact:Runtime/BitcoinDomainRequest.Reputation",
            "Impact:Runtime/CryptoMinerExecuted",
        ],
        responses: ISOLATE,
        reason: "a miner runs on it",
    },
    Row {
        kinds: &[
            "Execution:Runtime/MaliciousFileExecuted",
            "Execution:Runtime/MaliciousFileExecuted.Custom",
            "Execution:Runtime/ReverseShell",
            "Execution:Runtime/SuspiciousShellCreated",
            "Execution:Runtime/SuspiciousTool",
        ],
        responses: ISOLATE,
        reason: "an intruder runs programs on it",
    },
    Row {
        kinds: &[
            "DefenseEvasion:Runtime/FilelessExecution",
            "DefenseEvasion:Runtime/KernelModuleLoaded",
            "DefenseEvasion:Runtime/ProcessInjection.Proc",
            "DefenseEvasion:Runtime/ProcessInjection.Ptrace",
            "DefenseEvasion:Runtime/ProcessInjection.VirtualMemoryWrite",
        ],
        responses: ISOLATE,
        reason: "a process hides inside of another or of the kernel",
    },
    Row {
        kinds: &[
            "PrivilegeEscalation:Runtime/CGroupsReleaseAgentModified",
            "PrivilegeEscalation:Runtime/ContainerMountsHostDirectory",
            "PrivilegeEscalation:Runtime/DockerSocketAccessed",
            "PrivilegeEscalation:Runtime/ElevationToRoot",
            "PrivilegeEscalation:Runtime/RuncContainerEscape",
            "PrivilegeEscalation:Runtime/UserfaultfdUsage",
        ],
        responses: ISOLATE,
        reason: "a process breaks out to more rights",
    },
    Row {
        kinds: &[
            "DefenseEvasion:Runtime/PtraceAntiDebugging",
            "DefenseEvasion:Runtime/SensitiveFileModified",
            "DefenseEvasion:Runtime/SuspiciousCommand",
            "Discovery:Runtime/SuspiciousCommand",
            "Execution:Runtime/NewBinaryExecuted",
            "Execution:Runtime/NewLibraryLoaded",
            "Execution:Runtime/SuspiciousCommand",
            "Persistence:Runtime/SensitiveFileModified",
            "Persistence:Runtime/SuspiciousCommand",
            "PrivilegeEscalation:Runtime/SensitiveFileModified",
            "PrivilegeEscalation:Runtime/SuspiciousCommand",
        ],
        responses: TELL,
        reason: "administrators and deployments do the same",
    },
    // IAM and AI
    Row {
        kinds: &[
            "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.InsideAWS",
            "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
            "UnauthorizedAccess:IAMUser/ResourceCredentialExfiltration.InsideAWS",
            "UnauthorizedAccess:IAMUser/ResourceCredentialExfiltration.OutsideAWS",
            "CredentialAccess:IAMUser/CompromisedCredentials",
        ],
        responses: DEACTIVATE,
        reason: "the credentials are in the hands of a stranger",
    },
    Row {
        kinds: &[
            "Recon:IAMUser/MaliciousIPCaller",
            "Recon:IAMUser/MaliciousIPCaller.Custom",
            "Recon:IAMUser/TorIPCaller",
            "UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B",
            "UnauthorizedAccess:IAMUser/MaliciousIPCaller",
            "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom",
            "UnauthorizedAccess:IAMUser/TorIPCaller",
        ],
        responses: DEACTIVATE,
        reason: "the credentials are used from a place that their holder would not use",
    },
    Row {
        kinds: &[
            "PenTest:IAMUser/KaliLinux",
            "PenTest:IAMUser/ParrotLinux",
            "PenTest:IAMUser/PentooLinux",
            "PenTest:S3/KaliLinux",
            "PenTest:S3/ParrotLinux",
            "PenTest:S3/PentooLinux",
        ],
        responses: DEACTIVATE,
        reason: "the credentials are used from a system for attacks",
    },
    Row {
        kinds: &[
            "CredentialAccess:IAMUser/AnomalousBehavior",
            "DefenseEvasion:IAMUser/AnomalousBehavior",
            "Discovery:IAMUser/AnomalousBehavior",
            "Exfiltration:IAMUser/AnomalousBehavior",
            "Impact:IAMUser/AnomalousBehavior",
            "InitialAccess:IAMUser/AnomalousBehavior",
            "Persistence:IAMUser/AnomalousBehavior",
            "PrivilegeEscalation:IAMUser/AnomalousBehavior",
            "Impact:IAMUser/AnomalousModelInvocation",
            "Impact:IAMUser/CostHarvesting",
        ],
        responses: DEACTIVATE,
        reason: "the credentials are used as their holder never did; the severity tells how grave it is",
    },
    Row {
        kinds: &["Impact:IAMUser/PromptInjection.Direct"],
        responses: TELL,
        reason: "the text was hostile; whoever's credentials passed it on may be innocent",
    },
    Row {
        kinds: &["Policy:IAMUser/RootCredentialUsage", "Policy:IAMUser/ShortTermRootCredentialUsage"],
        responses: ROOT,
        reason: "nobody but its owner can lock out the root user",
    },
    Row {
        kinds: &["Stealth:IAMUser/CloudTrailLoggingDisabled"],
        responses: TRAIL,
        reason: "the trail can be started again",
    },
    Row {
        kinds: &["Stealth:IAMUser/PasswordPolicyChange"],
        responses: PASSWORDS,
        reason: "the earlier password policy can be put back",
    },
    Row {
        kinds: &["DefenseEvasion:IAMUser/BedrockLoggingDisabled"],
        responses: TELL,
        reason: "no remediation knows the logging of model invocations",
    },
    // S3
    Row {
        kinds: &[
            "Discovery:S3/AnomalousBehavior",
            "Discovery:S3/MaliciousIPCaller",
            "Discovery:S3/MaliciousIPCaller.Custom",
            "Discovery:S3/TorIPCaller",
            "Exfiltration:S3/AnomalousBehavior",
            "Exfiltration:S3/MaliciousIPCaller",
            "Impact:S3/AnomalousBehavior.Delete",
            "Impact:S3/AnomalousBehavior.Permission",
            "Impact:S3/AnomalousBehavior.Write",
            "Impact:S3/MaliciousIPCaller",
            "UnauthorizedAccess:S3/MaliciousIPCaller.Custom",
            "UnauthorizedAccess:S3/TorIPCaller",
        ],
        responses: DEACTIVATE,
        reason: "the caller's credentials reach the data; the bucket does what it is for",
    },
    Row {
        kinds: &[
            "Policy:S3/BucketAnonymousAccessGranted",
            "Policy:S3/BucketBlockPublicAccessDisabled",
            "Policy:S3/BucketPublicAccessGranted",
        ],
        responses: BUCKET,
        reason: "the bucket's block of public access can be put back",
    },
    Row {
        kinds: &["Policy:S3/AccountBlockPublicAccessDisabled"],
        responses: ACCOUNT,
        reason: "the account's block of public access can be put back",
    },
    Row {
        kinds: &["Stealth:S3/ServerAccessLoggingDisabled"],
        responses: TELL,
        reason: "no remediation knows server access logging",
    },
    // EKS, Lambda, RDS
    Row {
        kinds: &[
            "CredentialAccess:Kubernetes/MaliciousIPCaller",
            "CredentialAccess:Kubernetes/MaliciousIPCaller.Custom",
            "CredentialAccess:Kubernetes/SuccessfulAnonymousAccess",
            "CredentialAccess:Kubernetes/TorIPCaller",
            "DefenseEvasion:Kubernetes/MaliciousIPCaller",
            "DefenseEvasion:Kubernetes/MaliciousIPCaller.Custom",
            "DefenseEvasion:Kubernetes/SuccessfulAnonymousAccess",
            "DefenseEvasion:Kubernetes/TorIPCaller",
            "Discovery:Kubernetes/MaliciousIPCaller",
            "Discovery:Kubernetes/MaliciousIPCaller.Custom",
            "Discovery:Kubernetes/SuccessfulAnonymousAccess",
            "Discovery:Kubernetes/TorIPCaller",
            "Impact:Kubernetes/MaliciousIPCaller",
            "Impact:Kubernetes/MaliciousIPCaller.Custom",
            "Impact:Kubernetes/SuccessfulAnonymousAccess",
            "Impact:Kubernetes/TorIPCaller",
            "Persistence:Kubernetes/MaliciousIPCaller",
            "Persistence:Kubernetes/MaliciousIPCaller.Custom",
            "Persistence:Kubernetes/SuccessfulAnonymousAccess",
            "Persistence:Kubernetes/TorIPCaller",
            "CredentialAccess:Kubernetes/AnomalousBehavior.SecretsAccessed",
            "Discovery:Kubernetes/AnomalousBehavior.PermissionChecked",
            "Execution:Kubernetes/ExecInKubeSystemPod",
            "Execution:Kubernetes/AnomalousBehavior.ExecInPod",
            "Execution:Kubernetes/AnomalousBehavior.WorkloadDeployed",
            "Persistence:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount",
            "Policy:Kubernetes/AdminAccessToDefaultServiceAccount",
            "Policy:Kubernetes/AnonymousAccessGranted",
            "Policy:Kubernetes/ExposedDashboard",
            "Policy:Kubernetes/KubeflowDashboardExposed",
            "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleBindingCreated",
            "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleCreated",
            "PrivilegeEscalation:Kubernetes/AnomalousBehavior.WorkloadDeployed!PrivilegedContainer",
        ],
        responses: TELL,
        reason: "what is inside a cluster is changed through Kubernetes, which Rescind does not speak",
    },
    Row {
        kinds: &[
            "Backdoor:Lambda/C&CActivity.B",
            "CryptoCurrency:Lambda/BitcoinTool.B",
            "Trojan:Lambda/BlackholeTraffic",
            "Trojan:Lambda/DropPoint",
            "UnauthorizedAccess:Lambda/MaliciousIPCaller.Custom",
            "UnauthorizedAccess:Lambda/TorClient",
            "UnauthorizedAccess:Lambda/TorRelay",
        ],
        responses: TELL,
        reason: "no remediation stops a function",
    },
    Row {
        kinds: &[
            "CredentialAccess:RDS/AnomalousBehavior.FailedLogin",
            "CredentialAccess:RDS/AnomalousBehavior.SuccessfulBruteForce",
            "CredentialAccess:RDS/AnomalousBehavior.SuccessfulLogin",
            "CredentialAccess:RDS/MaliciousIPCaller.FailedLogin",
            "CredentialAccess:RDS/MaliciousIPCaller.SuccessfulLogin",
            "CredentialAccess:RDS/TorIPCaller.FailedLogin",
            "CredentialAccess:RDS/TorIPCaller.SuccessfulLogin",
            "Discovery:RDS/MaliciousIPCaller",
            "Discovery:RDS/TorIPCaller",
        ],
        responses: TELL,
        reason: "a database's users are changed inside of it; that it is public is a remediation's of its own",
    },
    // Attack sequences, and custom detection rules
    Row {
        kinds: &["AttackSequence:EC2/CompromisedInstanceGroup"],
        responses: INSTANCES,
        reason: "several signs say that the instances, and what they hold, are another's",
    },
    Row {
        kinds: &["AttackSequence:IAM/CompromisedCredentials", "AttackSequence:S3/CompromisedData"],
        responses: DEACTIVATE,
        reason: "several signs say that the credentials are another's",
    },
    Row {
        kinds: &["AttackSequence:EKS/CompromisedCluster", "AttackSequence:ECS/CompromisedCluster"],
        responses: DEACTIVATE,
        reason: "the credentials are cut off; the hosts of a cluster serve others, too",
    },
    Row {
        kinds: &[
            "DefenseImpairment:EC2/DisableOrModifyTools",
            "Exfiltration:EC2/TransferDataToCloudAccount",
            "Impact:S3/DataDestruction",
            "InitialAccess:IAM/ValidAccounts",
            "Persistence:IAM/AccountManipulation",
            "PrivilegeEscalation:IAM/AccountManipulation",
        ],
        responses: TELL,
        reason: "a custom detection rule of the account; the change that it saw is a signal of its own",
    },
];
