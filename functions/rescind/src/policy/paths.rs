//! Known ways from a few permissions to all of them, as data.
//!
//! The list of Rhino Security Labs (*AWS IAM Privilege Escalation – Methods and Mitigation*), which others have carried on:
//! pathfinding.cloud by Datadog Security Labs. A path through a service leads as far as the most powerful role that the
//! service may take.

/// A way to become administrator, or whoever a role or user in the account is.
#[derive(Debug, PartialEq, Eq)]
pub struct EscalationPath {
    /// The permission by which it is known, without the `iam:PassRole` that many need besides.
    pub name: &'static str,
    /// What all has to be allowed.
    pub(super) steps: &'static [Step],
    /// Why it is one, in a few words.
    pub sentence: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Whether it gives any permission at once, without a detour by what someone else may do: as good as an administrator.
    pub is_direct: bool,
}

impl EscalationPath {
    /// The actions that all have to be allowed.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.action)
    }
}

/// An action, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// The action.
    pub(super) action: &'static str,
    /// The service in the ARN, a colon, and how the resource begins in it.
    pub(super) on: &'static str,
}

pub(super) const fn step(action: &'static str, on: &'static str) -> Step {
    Step { action, on }
}

const fn direct(
    name: &'static str,
    steps: &'static [Step],
    sentence: &'static str,
    source: &'static str,
) -> EscalationPath {
    EscalationPath { name, steps, sentence, source, is_direct: true }
}

const fn path(
    name: &'static str,
    steps: &'static [Step],
    sentence: &'static str,
    source: &'static str,
) -> EscalationPath {
    EscalationPath { name, steps, sentence, source, is_direct: false }
}

const PASS_ROLE: Step = step("iam:PassRole", "iam:role/");

const RHINO: &str = "Rhino Security Labs, AWS IAM Privilege Escalation – Methods and Mitigation";
const PATHFINDING: &str = "Datadog Security Labs, pathfinding.cloud";
const HACKTRICKS: &str = "HackTricks Cloud, AWS - EC2 Privesc";
const STEP_FUNCTIONS: &str = "AWS Step Functions developer guide, AWS SDK service integrations";
const SCHEDULER: &str = "Amazon EventBridge Scheduler user guide, Using universal targets";

/// The known paths.
pub static PATHS: &[EscalationPath] = &[
    direct(
        "iam:CreatePolicyVersion",
        &[step("iam:CreatePolicyVersion", "iam:policy/")],
        "a new version of a policy that is attached already may allow everything",
        RHINO,
    ),
    path(
        "iam:SetDefaultPolicyVersion",
        &[step("iam:SetDefaultPolicyVersion", "iam:policy/")],
        "an older version of a policy that allows more can be made the default",
        RHINO,
    ),
    direct(
        "iam:AttachUserPolicy",
        &[step("iam:AttachUserPolicy", "iam:user/")],
        "AdministratorAccess can be attached to a user, oneself included",
        RHINO,
    ),
    direct(
        "iam:AttachGroupPolicy",
        &[step("iam:AttachGroupPolicy", "iam:group/")],
        "AdministratorAccess can be attached to a group that one is in",
        RHINO,
    ),
    direct(
        "iam:AttachRolePolicy",
        &[step("iam:AttachRolePolicy", "iam:role/")],
        "AdministratorAccess can be attached to a role, the one in use included",
        RHINO,
    ),
    direct(
        "iam:PutUserPolicy",
        &[step("iam:PutUserPolicy", "iam:user/")],
        "an inline policy that allows everything can be given to a user, oneself included",
        RHINO,
    ),
    direct(
        "iam:PutGroupPolicy",
        &[step("iam:PutGroupPolicy", "iam:group/")],
        "an inline policy that allows everything can be given to a group that one is in",
        RHINO,
    ),
    direct(
        "iam:PutRolePolicy",
        &[step("iam:PutRolePolicy", "iam:role/")],
        "an inline policy that allows everything can be given to a role, the one in use included",
        RHINO,
    ),
    direct(
        "iam:AddUserToGroup",
        &[step("iam:AddUserToGroup", "iam:group/")],
        "a user can be put into the group of the administrators",
        RHINO,
    ),
    direct(
        "iam:UpdateAssumeRolePolicy",
        &[step("iam:UpdateAssumeRolePolicy", "iam:role/")],
        "an administrator's role can be made to trust oneself",
        RHINO,
    ),
    path(
        "iam:CreateAccessKey",
        &[step("iam:CreateAccessKey", "iam:user/")],
        "an access key can be made for any user, administrators included",
        RHINO,
    ),
    path(
        "iam:CreateLoginProfile",
        &[step("iam:CreateLoginProfile", "iam:user/")],
        "a password can be set for a user that has none",
        RHINO,
    ),
    path(
        "iam:UpdateLoginProfile",
        &[step("iam:UpdateLoginProfile", "iam:user/")],
        "the password of any user can be changed",
        RHINO,
    ),
    path(
        "sts:AssumeRole",
        &[step("sts:AssumeRole", "iam:role/")],
        "each role that trusts the account can be assumed, whatever it may do",
        PATHFINDING,
    ),
    path(
        "ec2:RunInstances",
        &[PASS_ROLE, step("ec2:RunInstances", "ec2:instance/")],
        "an instance can be started with a role that may do more, and its credentials read",
        RHINO,
    ),
    path(
        "ec2:AssociateIamInstanceProfile",
        &[PASS_ROLE, step("ec2:AssociateIamInstanceProfile", "ec2:instance/")],
        "a running instance can be given a role that may do more",
        HACKTRICKS,
    ),
    path(
        "ec2:ModifyInstanceAttribute",
        &[
            step("ec2:ModifyInstanceAttribute", "ec2:instance/"),
            step("ec2:StopInstances", "ec2:instance/"),
            step("ec2:StartInstances", "ec2:instance/"),
        ],
        "the start script of an instance can be replaced, and runs with the instance's role",
        PATHFINDING,
    ),
    path(
        "autoscaling:CreateAutoScalingGroup",
        &[
            PASS_ROLE,
            step("autoscaling:CreateLaunchConfiguration", "autoscaling:launchConfiguration:"),
            step("autoscaling:CreateAutoScalingGroup", "autoscaling:autoScalingGroup:"),
        ],
        "instances can be started in a group with a role that may do more",
        HACKTRICKS,
    ),
    path(
        "lambda:CreateFunction and lambda:InvokeFunction",
        &[
            PASS_ROLE,
            step("lambda:CreateFunction", "lambda:function:"),
            step("lambda:InvokeFunction", "lambda:function:"),
        ],
        "a function can be made with a role that may do more, and called",
        RHINO,
    ),
    path(
        "lambda:CreateFunction and lambda:CreateEventSourceMapping",
        &[
            PASS_ROLE,
            step("lambda:CreateFunction", "lambda:function:"),
            step("lambda:CreateEventSourceMapping", "lambda:event-source-mapping:"),
        ],
        "a function can be made with a role that may do more, and be triggered by a table or queue",
        RHINO,
    ),
    path(
        "lambda:CreateFunction and lambda:AddPermission",
        &[
            PASS_ROLE,
            step("lambda:CreateFunction", "lambda:function:"),
            step("lambda:AddPermission", "lambda:function:"),
        ],
        "a function can be made with a role that may do more, and be opened to other callers",
        PATHFINDING,
    ),
    path(
        "lambda:UpdateFunctionCode",
        &[step("lambda:UpdateFunctionCode", "lambda:function:")],
        "the code of any function can be replaced, and runs with the function's role",
        RHINO,
    ),
    path(
        "lambda:UpdateFunctionConfiguration",
        &[step("lambda:UpdateFunctionConfiguration", "lambda:function:")],
        "a layer with other code can be put in front of any function, and runs with the function's role",
        RHINO,
    ),
    path(
        "glue:CreateDevEndpoint",
        &[PASS_ROLE, step("glue:CreateDevEndpoint", "glue:devEndpoint/")],
        "a development endpoint can be made with a role that may do more",
        RHINO,
    ),
    path(
        "glue:UpdateDevEndpoint",
        &[step("glue:UpdateDevEndpoint", "glue:devEndpoint/")],
        "one's own SSH key can be put on a development endpoint and its role",
        RHINO,
    ),
    path(
        "glue:CreateJob",
        &[PASS_ROLE, step("glue:CreateJob", "glue:job/"), step("glue:StartJobRun", "glue:job/")],
        "a job can be run with a role that may do more",
        PATHFINDING,
    ),
    path(
        "glue:UpdateJob",
        &[PASS_ROLE, step("glue:UpdateJob", "glue:job/"), step("glue:StartJobRun", "glue:job/")],
        "a job can be changed to run other code with a role that may do more",
        PATHFINDING,
    ),
    path(
        "cloudformation:CreateStack",
        &[PASS_ROLE, step("cloudformation:CreateStack", "cloudformation:stack/")],
        "a stack can be made by a role that may do more",
        RHINO,
    ),
    path(
        "cloudformation:UpdateStack",
        &[step("cloudformation:UpdateStack", "cloudformation:stack/")],
        "a stack can be changed, with the role that it was made with",
        PATHFINDING,
    ),
    path(
        "cloudformation:CreateChangeSet",
        &[
            step("cloudformation:CreateChangeSet", "cloudformation:stack/"),
            step("cloudformation:ExecuteChangeSet", "cloudformation:stack/"),
        ],
        "a stack can be changed by a change set, with the role that it was made with",
        PATHFINDING,
    ),
    path(
        "cloudformation:CreateStackSet",
        &[
            PASS_ROLE,
            step("cloudformation:CreateStackSet", "cloudformation:stackset/"),
            step("cloudformation:CreateStackInstances", "cloudformation:stackset/"),
        ],
        "a stack set can be rolled out by a role that may do more",
        PATHFINDING,
    ),
    path(
        "datapipeline:CreatePipeline",
        &[
            PASS_ROLE,
            step("datapipeline:CreatePipeline", "datapipeline:pipeline/"),
            step("datapipeline:PutPipelineDefinition", "datapipeline:pipeline/"),
            step("datapipeline:ActivatePipeline", "datapipeline:pipeline/"),
        ],
        "a pipeline can run commands with a role that may do more",
        RHINO,
    ),
    path(
        "sagemaker:CreateNotebookInstance",
        &[
            PASS_ROLE,
            step("sagemaker:CreateNotebookInstance", "sagemaker:notebook-instance/"),
            step("sagemaker:CreatePresignedNotebookInstanceUrl", "sagemaker:notebook-instance/"),
        ],
        "a notebook can be opened with a role that may do more",
        RHINO,
    ),
    path(
        "sagemaker:CreatePresignedNotebookInstanceUrl",
        &[step("sagemaker:CreatePresignedNotebookInstanceUrl", "sagemaker:notebook-instance/")],
        "any notebook can be opened, and with it its role",
        RHINO,
    ),
    path(
        "sagemaker:CreateTrainingJob",
        &[PASS_ROLE, step("sagemaker:CreateTrainingJob", "sagemaker:training-job/")],
        "a training job can run code with a role that may do more",
        PATHFINDING,
    ),
    path(
        "sagemaker:CreateProcessingJob",
        &[PASS_ROLE, step("sagemaker:CreateProcessingJob", "sagemaker:processing-job/")],
        "a processing job can run code with a role that may do more",
        PATHFINDING,
    ),
    path(
        "codebuild:CreateProject",
        &[
            PASS_ROLE,
            step("codebuild:CreateProject", "codebuild:project/"),
            step("codebuild:StartBuild", "codebuild:project/"),
        ],
        "a build can run commands with a role that may do more",
        PATHFINDING,
    ),
    path(
        "codebuild:StartBuild",
        &[step("codebuild:StartBuild", "codebuild:project/")],
        "a build can be started with other commands than the project's, with the project's role",
        PATHFINDING,
    ),
    path(
        "ecs:RunTask",
        &[
            PASS_ROLE,
            step("ecs:RegisterTaskDefinition", "ecs:task-definition/"),
            step("ecs:RunTask", "ecs:task-definition/"),
        ],
        "a task can be run with a role that may do more",
        PATHFINDING,
    ),
    path(
        "ecs:CreateService",
        &[
            PASS_ROLE,
            step("ecs:RegisterTaskDefinition", "ecs:task-definition/"),
            step("ecs:CreateService", "ecs:service/"),
        ],
        "a service can run tasks with a role that may do more",
        PATHFINDING,
    ),
    path(
        "ecs:ExecuteCommand",
        &[step("ecs:ExecuteCommand", "ecs:task/")],
        "a shell can be opened in any task that allows it, with the task's role",
        PATHFINDING,
    ),
    path(
        "ssm:SendCommand",
        &[step("ssm:SendCommand", "ec2:instance/")],
        "commands can be run on any managed instance, with the instance's role",
        PATHFINDING,
    ),
    path(
        "ssm:StartSession",
        &[step("ssm:StartSession", "ec2:instance/")],
        "a shell can be opened on any managed instance, with the instance's role",
        PATHFINDING,
    ),
    path(
        "apprunner:CreateService",
        &[PASS_ROLE, step("apprunner:CreateService", "apprunner:service/")],
        "a container can be run with a role that may do more",
        PATHFINDING,
    ),
    path(
        "states:CreateStateMachine",
        &[
            PASS_ROLE,
            step("states:CreateStateMachine", "states:stateMachine:"),
            step("states:StartExecution", "states:stateMachine:"),
        ],
        "a state machine can call AWS with a role that may do more",
        STEP_FUNCTIONS,
    ),
    path(
        "scheduler:CreateSchedule",
        &[PASS_ROLE, step("scheduler:CreateSchedule", "scheduler:schedule/")],
        "a schedule can call AWS with a role that may do more",
        SCHEDULER,
    ),
    path(
        "batch:SubmitJob",
        &[
            PASS_ROLE,
            step("batch:RegisterJobDefinition", "batch:job-definition/"),
            step("batch:SubmitJob", "batch:job-queue/"),
        ],
        "a job can be run with a role that may do more",
        PATHFINDING,
    ),
    path(
        "ec2:RequestSpotInstances",
        &[PASS_ROLE, step("ec2:RequestSpotInstances", "ec2:spot-instances-request/")],
        "a spot instance can be started with a role that may do more, and its credentials read",
        PATHFINDING,
    ),
    path(
        "ec2:CreateLaunchTemplateVersion",
        &[
            step("ec2:CreateLaunchTemplateVersion", "ec2:launch-template/"),
            step("ec2:ModifyLaunchTemplate", "ec2:launch-template/"),
        ],
        "the start script of the instances to come can be replaced, and runs with their role",
        PATHFINDING,
    ),
    path(
        "ec2-instance-connect:SendSSHPublicKey",
        &[step("ec2-instance-connect:SendSSHPublicKey", "ec2:instance/")],
        "one's own SSH key can be put on any instance for a minute, and with it its role be used",
        PATHFINDING,
    ),
    path(
        "ecs:StartTask",
        &[
            PASS_ROLE,
            step("ecs:RegisterTaskDefinition", "ecs:task-definition/"),
            step("ecs:StartTask", "ecs:task-definition/"),
        ],
        "a task can be started with a role that may do more",
        PATHFINDING,
    ),
    path(
        "codebuild:StartBuildBatch",
        &[step("codebuild:StartBuildBatch", "codebuild:project/")],
        "builds can be started with other commands than the project's, with the project's role",
        PATHFINDING,
    ),
    path(
        "cloudformation:UpdateStackSet",
        &[PASS_ROLE, step("cloudformation:UpdateStackSet", "cloudformation:stackset/")],
        "a stack set can be changed by a role that may do more",
        PATHFINDING,
    ),
];
