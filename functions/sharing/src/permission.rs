//! The permissions of Lambda functions: a policy that changes one statement at a time (AWS Lambda API: `AddPermission`,
//! `RemovePermission`).

use std::fmt;

use aws_sdk_lambda::types::FunctionUrlAuthType;
use rescind::arn::{is_account, is_region};
use rescind::policy::{Policy, Statement};
use rescind_lambda::prelude::*;
use serde_json::Map;

use crate::clients;

pub(crate) const GET: &str = "lambda:GetPolicy";
pub(crate) const TAGS: &str = "lambda:ListTags";
pub(crate) const ADD: &str = "lambda:AddPermission";
pub(crate) const REMOVE: &str = "lambda:RemovePermission";

/// As AWS Config names the type.
const KIND: &str = "AWS::Lambda::Function";

/// All that is called here.
pub const OPERATIONS: &[Operation] =
    &[Operation::reads(GET), Operation::reads(TAGS), Operation::changes(REMOVE), Operation::changes(ADD)];

/// A function, or a version or an alias of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    partition: String,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) name: String,
    /// The version or the alias.
    qualifier: Option<String>,
}

impl Function {
    /// The function whose policy a call changed. The statement names it in full; a request may name it in several ways.
    pub(crate) fn of_call(signal: &Signal, request: &Value, statement: Option<&Value>) -> Option<Self> {
        let qualifier = text(request, "qualifier").map(str::to_owned);
        let told = statement.and_then(|statement| text(statement, "resource")).and_then(|arn| Self::parse(signal, arn));
        let mut function = match told {
            Some(told) => told,
            None => Self::parse(signal, text(request, "functionName")?)?,
        };
        function.qualifier = function.qualifier.or(qualifier).filter(|qualifier| qualifier != "$LATEST");
        Some(function)
    }

    /// `name`, `account:function:name` or an ARN, each perhaps with `:qualifier`.
    fn parse(signal: &Signal, text: &str) -> Option<Self> {
        let partition = match signal.region.as_str() {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (partition, region, account, rest) = match parts.as_slice() {
            ["arn", partition, "lambda", region, account, "function", rest @ ..] => {
                (*partition, *region, *account, rest)
            }
            [account, "function", rest @ ..] => (partition, signal.region.as_str(), *account, rest),
            rest => (partition, signal.region.as_str(), signal.account.as_str(), rest),
        };
        let (name, qualifier) = match rest {
            [name] => (*name, None),
            [name, qualifier] => (*name, Some((*qualifier).to_owned())),
            _ => return None,
        };
        let is_function = !name.is_empty() && is_account(account) && is_region(region);
        is_function.then(|| Self {
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
            qualifier,
        })
    }

    fn arn(&self) -> String {
        let Self { partition, region, account, name, .. } = self;
        format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
    }

    /// How a call names it.
    pub(crate) fn parameters(&self) -> Map<String, Value> {
        let named = [("FunctionName", Some(self.arn())), ("Qualifier", self.qualifier.clone())];
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))).collect()
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.qualifier.iter().try_for_each(|qualifier| write!(f, ":{qualifier}"))
    }
}

/// The name of a statement's piece.
pub(crate) fn piece(sid: &str) -> String {
    format!("statement {sid}")
}

/// What a call of a plan makes of the pieces: a statement is what adds it.
pub(crate) fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let sid = text(&call.parameters, "statementId").unwrap_or_default();
    vec![(piece(sid), (call.call == ADD).then(|| call.parameters.to_string()))]
}

/// What `AddPermission` makes of its parameters, by operator and condition key. Keys are compared without regard to case.
const CONDITIONS: &[(&[&str], &str, &str)] = &[
    (&["ArnLike", "StringLike"], "aws:sourcearn", "SourceArn"),
    (&["StringEquals"], "aws:sourceaccount", "SourceAccount"),
    (&["StringEquals"], "aws:principalorgid", "PrincipalOrgID"),
    (&["StringEquals"], "lambda:eventsourcetoken", "EventSourceToken"),
    (&["StringEquals"], "lambda:functionurlauthtype", "FunctionUrlAuthType"),
    (&["Bool"], "lambda:invokedviafunctionurl", "InvokedViaFunctionUrl"),
];

/// The parameters with which `AddPermission` makes this statement; `None` when it can't make exactly this one.
pub(crate) fn parameters(function: &Function, statement: &Value) -> Option<Value> {
    const FIELDS: [&str; 6] = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
    let fields = statement.as_object()?;
    let own = match &function.qualifier {
        Some(qualifier) => format!("{}:{qualifier}", function.arn()),
        None => function.arn(),
    };
    if fields.keys().any(|field| !FIELDS.contains(&field.as_str()))
        || fields.get("Effect")?.as_str()? != "Allow"
        || fields.get("Resource")?.as_str()? != own
    {
        return None;
    }
    let mut parameters = function.parameters();
    for (name, field) in [("StatementId", "Sid"), ("Action", "Action")] {
        parameters.insert(name.to_owned(), Value::from(fields.get(field)?.as_str()?));
    }
    parameters.insert("Principal".to_owned(), Value::from(principal(fields.get("Principal")?)?));
    for (operator, keys) in fields.get("Condition").and_then(Value::as_object).into_iter().flatten() {
        for (key, value) in keys.as_object()? {
            let (.., name) = CONDITIONS.iter().find(|(operators, known, _)| {
                operators.contains(&operator.as_str()) && key.eq_ignore_ascii_case(known)
            })?;
            let value = match (*name, value.as_str()?) {
                ("InvokedViaFunctionUrl", text) => json!(text.parse::<bool>().ok()?),
                (_, text) => json!(text),
            };
            if parameters.insert((*name).to_owned(), value).is_some() {
                return None;
            }
        }
    }
    Some(Value::Object(parameters))
}

/// The one principal of a statement, as `AddPermission` takes it.
fn principal(principal: &Value) -> Option<&str> {
    match principal {
        Value::String(everybody) => Some(everybody.as_str()).filter(|text| *text == "*"),
        Value::Object(kinds) => {
            let mut kinds = kinds.iter();
            let (kind, name) = kinds.next().filter(|_| kinds.len() == 0)?;
            name.as_str().filter(|_| ["AWS", "Service"].contains(&kind.as_str()))
        }
        _ => None,
    }
}

/// The policy of a function, a version or an alias; `None` when it has none, or is gone.
pub(crate) async fn policy(scope: &Scope, function: &Function) -> Result<Option<Policy>, CallError> {
    let request = clients::lambda(scope).get_policy().function_name(function.arn());
    let answer = request.set_qualifier(function.qualifier.clone()).send().await;
    let Some(answer) = unless_gone(CallError::or(GET, answer))? else { return Ok(None) };
    let policy = Policy::parse(answer.policy().unwrap_or_default());
    policy.map(Some).map_err(|problem| CallError::malformed(GET, problem))
}

/// The tags of a function, which its versions and aliases share.
pub(crate) async fn tags(scope: &Scope, function: &Function) -> Result<Vec<(String, String)>, CallError> {
    let answer = clients::lambda(scope).list_tags().resource(function.arn()).send().await;
    let answer = unless_gone(CallError::or(TAGS, answer))?;
    let mut tags: Vec<(String, String)> = answer.and_then(|answer| answer.tags).into_iter().flatten().collect();
    tags.sort();
    Ok(tags)
}

/// Makes a call of `RemovePermission`.
pub(crate) async fn remove(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let request = clients::lambda(scope).remove_permission().function_name(parameter(call, "functionName")?);
    let request = request.statement_id(parameter(call, "statementId")?);
    let request = request.set_qualifier(text(&call.parameters, "qualifier").map(str::to_owned));
    CallError::or(REMOVE, request.send().await).map(drop)
}

/// Makes a call of `AddPermission`.
pub(crate) async fn add(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let optional = |name| text(&call.parameters, name).map(str::to_owned);
    let request = clients::lambda(scope)
        .add_permission()
        .function_name(parameter(call, "functionName")?)
        .statement_id(parameter(call, "statementId")?)
        .action(parameter(call, "action")?)
        .principal(parameter(call, "principal")?)
        .set_qualifier(optional("qualifier"))
        .set_source_arn(optional("sourceArn"))
        .set_source_account(optional("sourceAccount"))
        .set_principal_org_id(optional("principalOrgID"))
        .set_event_source_token(optional("eventSourceToken"))
        .set_function_url_auth_type(
            optional("functionUrlAuthType").map(|kind| FunctionUrlAuthType::from(kind.as_str())),
        )
        .set_invoked_via_function_url(call.parameters.get("InvokedViaFunctionUrl").and_then(Value::as_bool));
    match CallError::or(ADD, request.send().await) {
        // There already, by a try that got no answer: whether it is the same one, the read-back tells.
        Err(problem) if problem.code.as_deref() == Some("ResourceConflictException") => Ok(()),
        answer => answer.map(drop),
    }
}

/// The statement that a call added.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// Whose policy it is in.
    pub function: Function,
    /// Its id.
    pub sid: String,
    /// The statement, where the record tells it.
    pub told: Option<Value>,
}

impl Added {
    /// What a record tells.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let told = text(call.response(), "statement").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let sid = told.as_ref().and_then(|told| text(told, "sid")).or(text(call.request(), "statementId"));
        let function = Function::of_call(signal, call.request(), told.as_ref());
        let (Some(sid), Some(function)) = (sid, function) else {
            let resource = signal.resource(KIND, "unknown");
            let reason = "the record does not tell which statement was added to which function";
            return vec![Heard::unreadable(resource, reason)];
        };
        let mut resource = signal.resource(KIND, &function.name);
        resource.account.clone_from(&function.account);
        resource.region.clone_from(&function.region);
        vec![Heard::about(resource, Self { sid: sid.to_owned(), function, told })]
    }
}

/// How a statement stands: one piece; with the statement as it is written.
pub fn standing(target: &Added, statement: Option<Value>) -> Standing<Option<Value>> {
    let written = |told: &Value| parameters(&target.function, told).unwrap_or_else(|| told.clone());
    let piece = piece(&target.sid);
    Standing::new(effect).optional_fact(piece, statement.as_ref().map(written)).with(statement)
}

/// The statement as it stands, and the tags of the function.
///
/// # Errors
/// When Lambda could not be asked.
pub async fn read(scope: &Scope, target: &Added) -> Result<Standing<Option<Value>>, CallError> {
    let policy = Box::pin(policy(scope, &target.function));
    let (policy, tags) = tokio::join!(policy, Box::pin(tags(scope, &target.function)));
    let policy = policy?;
    let mut statements = policy.iter().flat_map(Policy::statements).map(Statement::raw);
    let statement = statements.find(|statement| text(statement, "sid") == Some(&target.sid));
    Ok(standing(target, statement.cloned()).tagged(tags?))
}

/// Makes one of the calls of this module.
///
/// # Errors
/// When Lambda does not accept it.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    match call.call.as_str() {
        REMOVE => remove(scope, call).await,
        ADD => add(scope, call).await,
        _ => Err(not_ours(call)),
    }
}
