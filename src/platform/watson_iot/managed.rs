//! Device management: who we are is said after each connection and again within the lifetime; what the platform asks for is
//! answered. Section names are those of the "Device Management Protocol".

use std::sync::Arc;

use serde_json::{Value, json};

use super::asked::{Answered, Requests, What};
use super::diagnostics::Diagnostics;
use super::held::{Held, Refusal};
use super::options::Managed;
use super::talk::say;
use crate::platform::{About, Act, Heard, Outcome, Say};
use crate::reading::Moment;

/// All that the platform says to the device.
pub(super) const FILTER: &str = "iotdm-1/#";

const RESPONSE: &str = "iotdevice-1/response";
const UNMANAGE: &str = "iotdevice-1/mgmt/unmanage";

const SECOND: i64 = 1_000_000;

/// It is looked for failures no more often than this.
const LOOK: i64 = SECOND;

/// A program is run so long after it was asked for: by then the request is acknowledged, and does not come again when the
/// program ends the machine at once, again and again.
const GRACE: i64 = SECOND;

/// A machine that was told to restart and has not after this long does not: `manage` says that we are here.
const STILL_HERE: i64 = 300 * SECOND;

/// Longest id of a request, bytes.
const LONGEST_ID: usize = 256;

/// A program that the platform asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    req_id: Option<String>,
    factory: bool,
}

impl Asked {
    /// By which a request that comes again is known.
    pub(super) fn id(&self) -> Option<String> {
        self.req_id.clone()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Management {
    options: Arc<Managed>,
    about: Arc<About>,
    held: Held,
    requests: Requests,
    diagnostics: Diagnostics,
    /// The platform has taken us as managed on this connection.
    managed: bool,
    /// When `manage` is said again.
    repeat: Option<i64>,
    /// When it was looked for failures last.
    looked: i64,
    /// A state may have changed since.
    stirred: bool,
    /// The program that runs, or will at this time.
    running: Option<(Asked, Option<i64>)>,
}

impl Management {
    pub(super) fn new(options: Arc<Managed>, about: &Arc<About>) -> Self {
        Self {
            held: Held::new(&options, about),
            diagnostics: Diagnostics::new(about),
            about: Arc::clone(about),
            options,
            requests: Requests::default(),
            managed: false,
            repeat: None,
            looked: i64::MIN,
            stirred: false,
            running: None,
        }
    }

    pub(super) fn connected(&mut self, now: Moment) -> Vec<Act> {
        self.requests.restart();
        (self.managed, self.repeat, self.stirred) = (false, None, false);
        self.manage(now)
    }

    /// "Manage device requests".
    fn manage(&mut self, now: Moment) -> Vec<Act> {
        let options = &self.options;
        let d = json!({
            "metadata": self.held.metadata(),
            "lifetime": options.lifetime,
            "supports": {
                "deviceActions": options.reboot.is_some() || options.factory_reset.is_some(),
                "firmwareActions": false,
            },
            "deviceInfo": self.held.device_info(),
        });
        self.requests.ask(What::Manage, Some(d), now)
    }

    pub(super) fn heard(&mut self, message: Heard<'_>, now: Moment) -> Vec<Act> {
        if message.retained {
            // A retained request would restart the machine at each connection.
            return noted("a retained request of device management was refused");
        }
        let Ok(Value::Object(request)) = serde_json::from_slice::<Value>(message.payload) else {
            return noted("a request of device management that is no JSON object was refused");
        };
        let req_id = match request.get("reqId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if id.len() <= LONGEST_ID => Some(id.as_str()),
            Some(_) => return noted("a request of device management whose \"reqId\" is no text was refused"),
        };
        let d = request.get("d");
        let acts = match message.topic.trim_start_matches("iotdm-1/") {
            "response" => {
                let rc = request.get("rc").and_then(Value::as_u64).unwrap_or(0);
                let words = request.get("message").and_then(Value::as_str).unwrap_or_default();
                return self.answered(req_id.unwrap_or_default(), rc, words, now);
            }
            "mgmt/initiate/device/reboot" => vec![self.start(false, req_id, now)],
            "mgmt/initiate/device/factory_reset" => vec![self.start(true, req_id, now)],
            "device/update" => self.update(req_id, d, now),
            "observe" => self.observe(req_id, d, true),
            "cancel" => self.observe(req_id, d, false),
            "mgmt/initiate/firmware/download" | "mgmt/initiate/firmware/update" => {
                let why = "the bridge is not updated this way".to_owned();
                vec![respond(req_id, &Err((501, why)))]
            }
            _ => vec![respond(req_id, &Err((501, "this request is not supported".to_owned())))],
        };
        acts.into_iter().flatten().collect()
    }

    /// The platform answers what we said.
    fn answered(&mut self, req_id: &str, rc: u64, message: &str, now: Moment) -> Vec<Act> {
        match self.requests.answered(req_id, rc, message, now) {
            Answered::Done(What::Manage) => {
                // Twice within the lifetime: one may be lost.
                let half = i64::try_from(self.options.lifetime / 2).unwrap_or(i64::MAX);
                let again = now.since_boot.saturating_add(half.saturating_mul(SECOND));
                self.repeat = (half > 0).then_some(again);
                if std::mem::replace(&mut self.managed, true) { Vec::new() } else { self.introduced(now) }
            }
            Answered::Refused(note) => vec![Act::Note(note)],
            Answered::Done(_) | Answered::Nothing => Vec::new(),
        }
    }

    /// What is said once the platform takes us as managed.
    fn introduced(&mut self, now: Moment) -> Vec<Act> {
        let mut acts = Vec::new();
        if let Some(location) = self.held.location() {
            let location = location.clone();
            acts.extend(self.requests.ask(What::Location, Some(location), now));
        }
        if self.options.diagnostics {
            // What an earlier connection has told may not have arrived, or be long over.
            self.diagnostics.forget();
            acts.extend(self.requests.ask(What::ClearErrorCodes, None, now));
            acts.extend(self.look(now));
        }
        acts
    }

    fn look(&mut self, now: Moment) -> Vec<Act> {
        (self.looked, self.stirred) = (now.since_boot, false);
        let news = self.diagnostics.news(&(self.about.latest)(), self.requests.room());
        // What there was no room for is taken up the next time.
        self.stirred = news.more;
        news.requests.into_iter().flat_map(|(what, d)| self.requests.ask(what, d, now)).collect()
    }

    /// A message of readings goes out.
    pub(super) fn saw(&mut self, payload: &[u8]) {
        const KEY: &[u8] = b"\"state\":";
        self.stirred |= self.options.diagnostics && payload.windows(KEY.len()).any(|part| part == KEY);
    }

    /// "Device action requests": 202 when it begins, 500 when it fails, 501 when it is not offered.
    fn start(&mut self, factory: bool, req_id: Option<&str>, now: Moment) -> Option<Act> {
        let program = if factory { &self.options.factory_reset } else { &self.options.reboot };
        let asked = Asked { req_id: req_id.map(str::to_owned), factory };
        let refuse = |rc, why: &str| respond(req_id, &Err((rc, why.to_owned())));
        match &self.running {
            _ if program.is_none() => refuse(501, "the configuration names no program for this"),
            // Sent again, because the connection broke: it is answered when it is done.
            Some((running, _)) if *running == asked && req_id.is_some() => None,
            Some(_) => refuse(500, "another such request is being carried out"),
            None => {
                self.running = Some((asked, Some(now.since_boot + GRACE)));
                None
            }
        }
    }

    /// The program that is to be run now, if one is; then [`Management::acted`].
    pub(super) fn wanted(&mut self, now: Moment) -> Option<(Asked, Vec<String>)> {
        let (asked, at) = self.running.as_mut()?;
        at.take_if(|at| *at <= now.since_boot)?;
        let program = if asked.factory { &self.options.factory_reset } else { &self.options.reboot };
        Some((asked.clone(), program.clone()?))
    }

    /// The program has ended, or could not be started.
    pub(super) fn acted(&mut self, asked: &Asked, outcome: &Outcome, now: Moment) -> Vec<Act> {
        self.running = None;
        let done = (200..300).contains(&outcome.rc);
        let result = if done { Ok((202, None)) } else { Err((500, outcome.message.clone())) };
        let mut acts: Vec<Act> = respond(asked.req_id.as_deref(), &result).into_iter().collect();
        if !done {
            let what = if asked.factory { "factory reset" } else { "restart" };
            acts.push(Act::Note(format!(
                "the {what} that the platform asked for failed: {}",
                outcome.message
            )));
            return acts;
        }
        if asked.factory && self.managed {
            acts.extend(self.requests.ask(What::ClearLog, None, now));
        }
        let still_here = now.since_boot + STILL_HERE;
        self.repeat = Some(self.repeat.map_or(still_here, |repeat| repeat.min(still_here)));
        acts
    }

    /// "Update requests".
    fn update(&mut self, req_id: Option<&str>, d: Option<&Value>, now: Moment) -> Vec<Option<Act>> {
        match self.held.update(d) {
            Ok(told) => {
                let mut acts = vec![respond(req_id, &Ok((204, None)))];
                if !told.is_empty() {
                    let fields = self.held.shown(&told);
                    acts.extend(self.requests.ask(What::Notify, Some(fields), now).into_iter().map(Some));
                }
                acts
            }
            Err(refusal) => vec![respond(req_id, &Err(refusal))],
        }
    }

    /// "Observation requests", and their end.
    fn observe(&mut self, req_id: Option<&str>, d: Option<&Value>, on: bool) -> Vec<Option<Act>> {
        let shown = self.held.observe(d, on).map(|fields| (200, Some(self.held.shown(&fields))));
        vec![respond(req_id, &shown)]
    }

    pub(super) fn due(&self) -> Option<i64> {
        let look = (self.managed && self.stirred).then(|| self.looked.saturating_add(LOOK));
        let run = self.running.as_ref().and_then(|(_, at)| *at);
        [self.requests.due(), self.repeat, look, run].into_iter().flatten().min()
    }

    pub(super) fn tick(&mut self, now: Moment) -> Vec<Act> {
        let mut acts = self.requests.tick(now);
        if self.repeat.is_some_and(|at| at <= now.since_boot) {
            // Its answer says when the next one is due.
            self.repeat = None;
            acts.extend(self.manage(now));
        }
        if self.managed && self.stirred && self.looked.saturating_add(LOOK) <= now.since_boot {
            acts.extend(self.look(now));
        }
        acts
    }

    /// "Unmanage device requests", if the configuration wants it.
    pub(super) fn leaving(&mut self, now: Moment) -> Option<Say> {
        let say = (self.options.unmanage && self.managed)
            .then(|| say(UNMANAGE, &json!({"reqId": self.requests.id(now)})));
        self.managed = false;
        say
    }
}

fn noted(text: &str) -> Vec<Act> {
    vec![Act::Note(text.to_owned())]
}

/// The answer to a request; none is owed to one without an id.
fn respond(req_id: Option<&str>, result: &Result<(u16, Option<Value>), Refusal>) -> Option<Act> {
    let mut answer = match result {
        Ok((rc, None)) => json!({"rc": rc}),
        Ok((rc, Some(d))) => json!({"rc": rc, "d": d}),
        Err((rc, message)) => json!({"rc": rc, "message": message}),
    };
    answer["reqId"] = req_id?.into();
    Some(Act::Say(say(RESPONSE, &answer)))
}
