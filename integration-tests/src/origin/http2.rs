//! An origin's side of HTTP/2.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{Behaviour, BodySeen, Seen, Shared};
use crate::client::listed;
use crate::tls::Greeting;
use crate::wire::{Checksum, Fields, Io};

pub(super) async fn serve(
    shared: Arc<Shared>,
    io: impl Io,
    connection: usize,
    greeting: Option<Greeting>,
) -> Result<(), h2::Error> {
    let mut accepting = h2::server::handshake(io).await?;
    let mut streams = JoinSet::new();
    while let Some(accepted) = accepting.accept().await {
        let (request, respond) = accepted?;
        let (parts, body) = request.into_parts();
        let (number, behaviour) = shared.record(seen(&Request::from_parts(parts, ()), connection, greeting.clone()));
        let exchange = Exchange { shared: Arc::clone(&shared), body, respond, number };
        while streams.try_join_next().is_some() {}
        streams.spawn(exchange.act(behaviour));
    }
    Ok(())
}

fn seen(request: &Request<()>, connection: usize, greeting: Option<Greeting>) -> Seen {
    let uri = request.uri();
    let mut fields = Fields::new();
    if let Some(authority) = uri.authority() {
        fields.push((":authority".to_owned(), authority.to_string()));
    }
    if let Some(scheme) = uri.scheme_str() {
        fields.push((":scheme".to_owned(), scheme.to_owned()));
    }
    fields.extend(listed(request.headers()));
    Seen {
        connection,
        method: request.method().to_string(),
        target: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        version: "HTTP/2.0".to_owned(),
        fields,
        raw: Bytes::new(),
        greeting,
        body: None,
    }
}

struct Exchange {
    shared: Arc<Shared>,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    number: usize,
}

impl Exchange {
    async fn act(mut self, behaviour: Behaviour) {
        // A stream that the peer ended early is what some tests are about.
        drop(self.try_to(behaviour).await);
    }

    async fn try_to(&mut self, behaviour: Behaviour) -> Result<(), h2::Error> {
        match behaviour {
            Behaviour::Echo => self.echo().await,
            Behaviour::Gated => match self.gate().await {
                true => self.echo().await,
                false => Ok(()),
            },
            Behaviour::Mirror => self.mirror().await,
            Behaviour::Reply { status, fields, body } => {
                self.read_body().await?;
                self.head(status, &fields, false)?.send_data(Bytes::from(body), true)
            }
            Behaviour::Parts(parts) => self.parts(parts).await,
            Behaviour::Trailers { fields, body, trailers } => {
                self.read_body().await?;
                let mut sender = self.head(200, &fields, false)?;
                if !body.is_empty() {
                    sender.send_data(Bytes::from(body), false)?;
                }
                sender.send_trailers(header_map(&trailers))
            }
            Behaviour::Interim(heads) => {
                for (status, fields) in heads {
                    let mut response = Response::new(());
                    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
                    *response.headers_mut() = header_map(&fields);
                    self.respond.send_informational(response)?;
                }
                match self.gate().await {
                    true => self.echo().await,
                    false => Ok(()),
                }
            }
            Behaviour::Abort => {
                self.respond.send_reset(Reason::INTERNAL_ERROR);
                Ok(())
            }
            Behaviour::Raw(_) => panic!("raw bytes are HTTP/1.1's"),
        }
    }

    async fn echo(&mut self) -> Result<(), h2::Error> {
        let json = self.read_body().await?;
        let fields = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.head(200, &fields, false)?.send_data(Bytes::from(json.to_string()), true)
    }

    async fn mirror(&mut self) -> Result<(), h2::Error> {
        let mut sender = self.head(200, &[], false)?;
        let (mut length, mut sum) = (0, Checksum::default());
        while let Some(piece) = self.piece().await.inspect_err(|_| self.shared.aborted())? {
            length += piece.len() as u64;
            sum.add(&piece);
            sender.send_data(piece, false)?;
        }
        let trailers = self.body.trailers().await?.map(|fields| listed(&fields)).unwrap_or_default();
        self.shared.body_came(self.number, BodySeen { length, sum, trailers });
        sender.send_data(Bytes::new(), true)
    }

    async fn parts(&mut self, parts: Vec<String>) -> Result<(), h2::Error> {
        self.read_body().await?;
        let mut sender = self.head(200, &[], false)?;
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 && !self.released_or_reset(&mut sender).await {
                return Ok(());
            }
            sender.send_data(Bytes::from(part), index == last)?;
        }
        Ok(())
    }

    async fn read_body(&mut self) -> Result<Value, h2::Error> {
        let (mut length, mut sum) = (0, Checksum::default());
        while let Some(piece) = self.piece().await? {
            length += piece.len() as u64;
            sum.add(&piece);
        }
        let trailers = self.body.trailers().await?.map(|fields| listed(&fields)).unwrap_or_default();
        Ok(self.shared.body_came(self.number, BodySeen { length, sum, trailers }))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, h2::Error> {
        let Some(piece) = self.body.data().await.transpose()? else { return Ok(None) };
        self.body.flow_control().release_capacity(piece.len())?;
        Ok(Some(piece))
    }

    fn head(&mut self, status: u16, fields: &[(String, String)], end: bool) -> Result<SendStream<Bytes>, h2::Error> {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = header_map(fields);
        self.respond.send_response(response, end)
    }

    /// True once released; false when the peer has given the stream up before.
    async fn gate(&mut self) -> bool {
        tokio::select! {
            () = self.shared.pass_gate() => true,
            _ = poll_fn(|cx| self.respond.poll_reset(cx)) => {
                self.shared.aborted();
                false
            }
        }
    }

    async fn released_or_reset(&self, sender: &mut SendStream<Bytes>) -> bool {
        tokio::select! {
            () = self.shared.pass_gate() => true,
            _ = poll_fn(|cx| sender.poll_reset(cx)) => {
                self.shared.aborted();
                false
            }
        }
    }
}

fn header_map(fields: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        map.append(name, HeaderValue::from_str(value).expect("a field value"));
    }
    map
}
