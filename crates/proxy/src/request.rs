//! The way of a request: check, identify, bind, balance, send, classify, observe. It has no logic of its own.

pub mod answer;
pub mod check;
pub mod deadline;
pub mod forwarded;
pub mod headers;
pub mod interim;
pub mod max_forwards;
pub mod observe;
pub mod route;
pub mod route_cache;
pub mod send;
pub mod trace;
pub mod upgrade;

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;

use self::answer::{Asked, Failure, Word, answer};
use self::deadline::Deadline;
use self::interim::{Caller, Expectation, Interims, Waiting};
use self::observe::Observation;
use self::route::Route;
use self::send::{Outbound, send};
use self::upgrade::Upgrade;
use crate::body::pace::{Answered, Pace};
use crate::body::{Incoming, RequestBody, ResponseBody};
use crate::client::exchange::{Unsent, gone};
use crate::config::ServerConfig;
use crate::server::connection::Connection;
use crate::telemetry::{Class, Termination};
use crate::tunnel::Tunnel;

/// A request's only exit: whatever happened is seen once and answered once.
pub fn handle(
    connection: Rc<Connection>,
    caller: Caller,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> {
    // Before the future, since an `async fn` keeps what it is given beside what it makes of it.
    let (parts, body) = request.into_parts();
    let asked = Asked::of(&parts.method, parts.version, &parts.headers);
    let mut observation = Observation::begin(connection.port.router(), &parts);
    let mut unsent = Some((parts, RequestBody::new(body)));
    async move {
        match forward(&connection, caller, asked, &mut unsent, &mut observation).await {
            Ok(Reply::Endpoints(response)) => pass_on(&connection, asked, response, observation),
            Ok(Reply::Own(response)) => {
                observation.answered(response.status(), Class::Success);
                *response
            }
            Err(failure) => {
                observation.failed(&failure);
                if failure.word == Word::RequestTimeout {
                    connection.port.metrics.terminated(Termination::BodyTimeout);
                }
                // Whether the body still comes is not clear (RFC 9110 section 10.1.1).
                let failure = if observation.is_held() { failure.closing() } else { failure };
                answer(&failure, asked)
            }
        }
    }
}

enum Reply {
    Endpoints(Response<Incoming>),
    /// The request was to go no further than here.
    Own(Box<Response<ResponseBody>>),
}

async fn forward(
    connection: &Connection,
    caller: Caller,
    asked: Asked,
    unsent: &mut Unsent,
    observation: &mut Observation,
) -> Result<Reply, Failure> {
    let (parts, body) = unsent.as_mut().ok_or_else(gone)?;
    connection.is_authorized()?;
    let settings = connection.port.settings();
    check::number_of_fields(&parts.headers, settings.config.max_headers)?;
    let extended = Upgrade::extended(parts, &settings.config.upgrades, &mut *connection.worker.rng.borrow_mut())?;
    check::check(parts)?;
    let expects = check::expectation(parts, !body.is_end_stream())?;
    if let Some(response) = max_forwards::last_hop(parts, !body.is_end_stream())? {
        return Ok(Reply::Own(Box::new(response)));
    }
    let expectation = expects.then(|| Expectation::new(&caller));
    observation.waiting = expectation.clone().map(Waiting);
    let answered = bounded(asked, parts, body, &settings.config, expectation.clone())?;
    let interims = Interims { caller, expectation, clear: connection.trust.clear };
    observation.permit = Some(connection.port.admit()?);
    let context = headers::take(&mut parts.headers, connection.trust, settings.config.max_call_depth)?;
    if context.override_refused {
        connection.port.metrics.override_refused();
    }
    let wanted = context.upgrade.as_ref();
    let upgrade =
        extended.or_else(|| Upgrade::http1(wanted, !body.is_end_stream(), parts.version, &settings.config.upgrades));
    if let Some(upgrade) = &upgrade {
        observation.place = Some(connection.port.admit_tunnel()?);
        upgrade.write(&mut parts.headers);
    }
    connection.introduce(&mut parts.headers);
    forwarded::forward(settings.config.forwarded, &mut parts.headers, connection.client(), connection.is_tls());
    headers::append_via(&mut parts.headers, parts.version);
    let route = observation.router.route(parts, &context).await?;
    observation.route = Some(Rc::clone(&route));
    route.deposit(observation.router.worker.index, observation.started);
    let deadline = earliest(&route, context.deadline);
    let certificate = connection.certificate();
    let outbound = Outbound {
        route: Rc::clone(&route),
        context: &context,
        interims: &interims,
        deadline,
        upgrade: upgrade.as_ref(),
        certificate,
    };
    let sent = std::pin::pin!(send(&outbound, unsent, observation));
    let response = match deadline {
        None => sent.await,
        Some(deadline) => match deadline.remaining(SystemTime::now()) {
            Duration::ZERO => Err(late(&route).retryable()),
            left => tokio::time::timeout(left, sent).await.unwrap_or_else(|_| Err(late(&route))),
        },
    };
    if let Some(answered) = answered {
        answered.set(true);
    }
    response.map(Reply::Endpoints)
}

/// The endpoint's response, made fit for the next hop.
fn pass_on(
    connection: &Connection,
    asked: Asked,
    response: Response<Incoming>,
    observation: Observation,
) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    let received = parts.version;
    let switched = match body {
        Incoming::Switched(_) => parts.headers.remove(UPGRADE),
        Incoming::Empty | Incoming::Http1(_) | Incoming::Http2(_) => None,
    };
    let unexplained = headers::clean_response(&mut parts.headers, connection.trust.clear);
    // The forwarded message carries our own version (RFC 9110 section 6.2).
    parts.version = if asked.version == Version::HTTP_2 { Version::HTTP_2 } else { Version::HTTP_11 };
    parts.extensions = http::Extensions::new();
    if !connection.trust.clear {
        parts.headers.insert(headers::L5D_SUCCESS_CLASS.clone(), observation.success_class());
    }
    headers::append_via(&mut parts.headers, received);
    if parts.status == StatusCode::NO_CONTENT {
        // RFC 9110 section 8.6.
        parts.headers.remove(CONTENT_LENGTH);
    }
    if observation.is_held() && asked.version != Version::HTTP_2 {
        // Whether the body still comes is not clear (RFC 9110 section 10.1.1).
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Incoming::Switched(endpoint) = body {
        upgrade::answer(&mut parts, switched, asked.version);
        return Response::from_parts(parts, ResponseBody::tunnel(Tunnel::new(*endpoint, observation.switched())));
    }
    let body = ResponseBody::passed(body, observation);
    if unexplained {
        // The words of the inside are not for the outside: as linkerd, the status stays and the body goes.
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        return Response::from_parts(parts, body.emptied());
    }
    Response::from_parts(parts, body)
}

/// Keeps a request's body within `max_body_bytes` and `body_timeout`; gives back who is to be told when its response
/// begins.
///
/// One that says beforehand that it is too long is not begun (RFC 9110 section 15.5.14). gRPC streams may be silent for
/// as long as they live.
fn bounded(
    asked: Asked,
    parts: &Parts,
    body: &mut RequestBody,
    config: &ServerConfig,
    expectation: Option<Rc<Expectation>>,
) -> Result<Option<Answered>, Failure> {
    let limit = config.max_body_bytes;
    let told = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let (Some(limit), Some(told)) = (limit, told)
        && told > limit
    {
        let message = format!("the request's body has {told} bytes, and {limit} are allowed (max_body_bytes)");
        return Err(Failure::new(Word::BodyTooLong, message).retryable().closing());
    }
    let patience = config.body_timeout.filter(|_| !body.is_end_stream() && !asked.grpc);
    let answered = patience.map(|_| Answered::default());
    let pace = patience.zip(answered.clone()).map(|(patience, answered)| Pace::new(patience, answered));
    body.bound(limit, pace, expectation);
    Ok(answered)
}

/// The deadline that came with the call, or our own total time out, whichever is earlier.
fn earliest(route: &Route, received: Option<Deadline>) -> Option<Deadline> {
    let own = route.plan.service.total_timeout.value.map(|timeout| Deadline::after(timeout, SystemTime::now()));
    match (own, received) {
        (Some(own), Some(received)) => Some(own.strictest(received)),
        (own, received) => own.or(received),
    }
}

fn late(route: &Route) -> Failure {
    let limit = match route.plan.service.total_timeout.value {
        Some(total) => format!("its deadline, or total_timeout ({total:?})"),
        None => "the deadline that came with it".to_owned(),
    };
    Failure::new(Word::Timeout, format!("{}: not answered within {limit}", route.plan.decision.logical))
}
