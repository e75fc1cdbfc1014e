//! What each [`Command`] does to the world.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::processes::Recipe;
use super::switch::HeldAct;
use super::{Keeper, Refusal, node_client};
use crate::sandbox::machines;
use crate::world::command::{Command, Step};
use crate::world::wire::Ask;
use crate::world::{Name, What};

/// The nodes' ports: for their peers, and for clients.
const PEER_PORT: u16 = 7400;
const CLIENT_PORT: u16 = 6379;

impl Keeper {
    /// Carries out a command and records that it was asked for.
    pub(super) async fn carry_out(self: &Rc<Self>, command: Command, by: &str) -> Result<Value, Refusal> {
        let text = command.to_string();
        let only_looks = matches!(command, Command::Status | Command::Log(_) | Command::Ask(..) | Command::Server(_));
        if only_looks {
            return self.execute(command).await;
        }
        let by = by.to_string();
        let cause = self.report(None, What::Command { text: text.clone(), by: by.clone(), refused: None });
        let result = self.execute(command).await;
        if let Err(refused) = &result {
            self.report(Some(cause), What::Command { text, by, refused: Some(refused.clone()) });
        }
        result
    }

    async fn execute(self: &Rc<Self>, command: Command) -> Result<Value, Refusal> {
        match command {
            Command::Nodes(count) => self.have_nodes(count).await,
            Command::Start(names) => self.start_all(&names).await,
            Command::Kill(names) => {
                for name in &names {
                    self.kill(name).await?;
                }
                Ok(Value::Null)
            }
            Command::Pause(names) => names.iter().try_for_each(|name| self.pause(name)).map(|()| Value::Null),
            Command::Resume(names) => names.iter().try_for_each(|name| self.resume(name)).map(|()| Value::Null),
            Command::Cut(links) => self.rule(&links, |rule| rule.cut = true).await,
            Command::Heal(links) => self.rule(&links, |rule| *rule = Default::default()).await,
            Command::Hold(links) => self.rule(&links, |rule| rule.held = true).await,
            Command::Delay(links, ms) => self.rule(&links, |rule| rule.delay_ms = ms).await,
            Command::Loss(links, percent) => self.rule(&links, |rule| rule.loss = percent).await,
            Command::Double(links, percent) => self.rule(&links, |rule| rule.dup = percent).await,
            Command::Deliver(which) => Ok(json!(self.with_held(&which, HeldAct::Deliver).await?)),
            Command::Drop(which) => Ok(json!(self.with_held(&which, HeldAct::Drop).await?)),
            Command::Dup(which) => Ok(json!(self.with_held(&which, HeldAct::Dup).await?)),
            Command::Speed(speed) => self.set_clock(speed, self.see(|world| world.frozen)).await,
            Command::Freeze => self.set_clock(self.see(|world| world.speed), true).await,
            Command::Thaw => self.set_clock(self.see(|world| world.speed), false).await,
            Command::Step(who, step) => self.step(&who, step).await,
            Command::Client(node, words) => self.client(&node, &words).await,
            Command::Status => Ok(self.status().await),
            Command::Log(node) => self.log(&node).await,
            Command::Server(name) => self.server(&name).await,
            Command::Ask(who, words) => self.ask(&who, Ask::Words(words)).await,
        }
    }

    /// Has nodes n1…nN, connected. Their data stay where they were.
    async fn have_nodes(self: &Rc<Self>, count: usize) -> Result<Value, Refusal> {
        let names: Vec<Name> = (1..=count).map(|i| format!("n{i}")).collect();
        let present = self.processes.borrow().of_role("node");
        if !present.is_empty() && present != names {
            return Err(format!("this world has {} nodes already; open another for {count}", present.len()));
        }
        for name in &names {
            let recipe = self.node_recipe(name, &names)?;
            self.processes.borrow_mut().learn(name, recipe);
        }
        self.start_all(&names).await
    }

    fn node_recipe(&self, name: &str, all: &[Name]) -> Result<Recipe, Refusal> {
        let (seed, speed) = self.see(|world| (world.seed, world.speed));
        let address = |name: &str| machines::address(name).ok_or_else(|| format!("there is no machine {name}"));
        let number = all.iter().position(|other| other == name).unwrap_or(0) as u64;
        let mut args: Vec<String> = ["node", "--name", name].map(Into::into).into();
        args.extend(["--bind".into(), address(name)?.to_string()]);
        for peer in all.iter().filter(|peer| *peer != name) {
            args.extend(["--peer".into(), format!("{peer}={}:{PEER_PORT}", address(peer)?)]);
        }
        args.extend(["--data".into(), self.node_data(name)]);
        args.extend(["--seed".into(), seed.wrapping_add(number).to_string(), "--speed".into(), speed.to_string()]);
        Ok(Recipe { role: "node".into(), machine: name.into(), args })
    }

    fn node_data(&self, name: &str) -> String {
        self.dir.join("disk/nodes").join(name).display().to_string()
    }

    async fn start_all(self: &Rc<Self>, names: &[Name]) -> Result<Value, Refusal> {
        for name in names {
            self.start(name)?;
        }
        for name in names {
            self.connected(name).await?;
        }
        Ok(Value::Null)
    }

    async fn rule(
        self: &Rc<Self>,
        links: &crate::world::command::Links,
        change: impl Fn(&mut crate::world::event::LinkRule),
    ) -> Result<Value, Refusal> {
        self.known(links)?;
        self.set_rules(links, change);
        self.retune().await;
        Ok(Value::Null)
    }

    /// Refuses a name that no machine and no process has.
    fn known(&self, links: &crate::world::command::Links) -> Result<(), Refusal> {
        let is_known = |name: &Name| {
            machines::address(name).is_some()
                || self.see(|world| world.processes.contains_key(name))
                || self.role_pid(name).is_ok()
        };
        match links.named().into_iter().find(|name| !is_known(name)) {
            Some(name) => Err(format!(
                "there is no machine or process {name}; there are n1 to n{}, server1 to server{}, and what `lab status` shows",
                machines::NODES,
                machines::SERVERS
            )),
            None => Ok(()),
        }
    }

    async fn set_clock(self: &Rc<Self>, speed: f64, frozen: bool) -> Result<Value, Refusal> {
        let old = self.see(|world| (world.speed, world.frozen));
        self.report(None, What::Clock { speed, frozen });
        self.retune().await;
        if old.0 != speed {
            self.tell_all(Ask::Speed(speed)).await;
        }
        if old.1 != frozen {
            if frozen {
                self.freeze_links(true);
            }
            self.tell_all(Ask::Freeze(frozen)).await;
            if !frozen {
                self.freeze_links(false);
            }
        }
        Ok(Value::Null)
    }

    async fn step(self: &Rc<Self>, who: &str, step: Step) -> Result<Value, Refusal> {
        if !self.see(|world| world.frozen) {
            return Err("the world is not frozen; `lab freeze` first".into());
        }
        match step {
            Step::Tick => self.ask(who, Ask::Tick).await,
            Step::Message => Ok(json!(self.step_message(who).await?)),
        }
    }

    async fn client(&self, node: &str, words: &[String]) -> Result<Value, Refusal> {
        let address = machines::address(node).ok_or_else(|| format!("there is no node {node}"))?;
        node_client::request(SocketAddr::from((address, CLIENT_PORT)), words).await
    }

    /// A node's log: from the node while it runs, else from its disk.
    async fn log(&self, node: &str) -> Result<Value, Refusal> {
        if self.role_pid(node).is_ok() {
            return self.ask(node, Ask::Words(vec!["log".into()])).await;
        }
        if !self.processes.borrow().is_ours(node) {
            return Err(format!("there is no node {node}; `lab nodes 3` makes n1, n2 and n3"));
        }
        let exe = std::env::current_exe().map_err(|e| e.to_string())?;
        let data = self.node_data(node);
        let args = ["node", "--name", node, "--show-log", "--data", &data];
        let out = tokio::process::Command::new(exe).args(args).output().await.map_err(|e| e.to_string())?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).trim().to_string());
        }
        serde_json::from_slice(&out.stdout).map_err(|e| format!("{node}'s log: {e}"))
    }

    /// What the world looks like; `nodes` ask the nodes themselves, for at full speed they report little.
    async fn status(&self) -> Value {
        let mut status = self.see(crate::world::picture::World::status);
        let names = self.roles_of("node");
        let words = || Ask::Words(vec!["status".into()]);
        let asked = names.iter().map(|name| tokio::time::timeout(Duration::from_secs(1), self.ask(name, words())));
        let answers = futures::future::join_all(asked).await;
        for (name, answer) in names.iter().zip(answers) {
            let (Ok(Ok(Value::Object(fresh))), Some(nodes)) = (answer, status["nodes"].as_array_mut()) else {
                continue;
            };
            if let Some(Value::Object(node)) = nodes.iter_mut().find(|node| node["name"] == **name) {
                let known = fresh
                    .into_iter()
                    .map(|(field, value)| if field == "last" { ("last_index".into(), value) } else { (field, value) });
                node.extend(known.filter(|(field, _)| field != "node"));
            }
        }
        status
    }

    /// Has the namespaces of a storage server; gives the process id of their holder.
    async fn server(self: &Rc<Self>, name: &str) -> Result<Value, Refusal> {
        if name == machines::HOME_MACHINE {
            return Ok(json!(std::process::id()));
        }
        if !name.starts_with("server") || machines::address(name).is_none() {
            return Err(format!("there is no server {name}; there are server1 to server{}", machines::SERVERS));
        }
        let args = vec!["server".into(), name.into()];
        self.processes.borrow_mut().learn(name, Recipe { role: "server".into(), machine: name.into(), args });
        self.start(name)?;
        let up =
            self.until(Duration::from_secs(5), |world| world.output.get(name).is_some_and(|out| !out.is_empty())).await;
        let pid = self.processes.borrow().pid(name);
        pid.filter(|_| up).map(|pid| json!(pid)).ok_or_else(|| format!("{name} did not come up"))
    }

    /// Goes on with a world that was closed: what was running then is started again, for its disks are as they were.
    pub(super) async fn reopen(self: &Rc<Self>) {
        use crate::world::event::Process;
        let alive = self.see(|world| {
            let alive = world.processes.iter().filter(|(_, process)| process.is_alive());
            alive.map(|(name, process)| (name.clone(), process.role.clone())).collect::<Vec<_>>()
        });
        for (name, _) in &alive {
            self.report_of(name, None, What::Process(Process::Ended { how: "the world was closed".into() }));
        }
        let lost =
            self.see(|world| world.links.flying.iter().map(|flying| flying.message.id.clone()).collect::<Vec<_>>());
        for id in lost {
            let dropped = crate::world::event::Link::Dropped { id, why: "the world was closed".into() };
            self.report(None, What::Link(dropped));
        }
        let nodes = self.see(|world| world.raft.nodes.len());
        let names: Vec<Name> = (1..=nodes).map(|i| format!("n{i}")).collect();
        for name in &names {
            if let Ok(recipe) = self.node_recipe(name, &names) {
                self.processes.borrow_mut().learn(name, recipe);
            }
        }
        self.freeze_links(self.see(|world| world.frozen));
        let ran: Vec<Name> = names.into_iter().filter(|name| alive.iter().any(|(other, _)| other == name)).collect();
        if let Err(reason) = self.start_all(&ran).await {
            eprintln!("keeper: going on with the world: {reason}");
        }
    }
}
