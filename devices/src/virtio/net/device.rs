//! The front of a network card.

use std::io;
use std::sync::Arc;

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_S_ANNOUNCE,
    VIRTIO_NET_S_LINK_UP,
};

use super::config::{self, NetConfig, guest_offloads, largest_frame};
use super::control::{ControlHandler, Visible};
use super::detour::Detour;
use super::filter::MacAddress;
use super::handler::{PairHandler, Port};
use super::link::Link;
use super::metrics::NetMetrics;
use super::rx::RxMode;
use crate::net::NetBackend;
use crate::rate_limiter::{LimiterUpdate, SharedLimiter};
use crate::virtio::device::{
    Activation, DeviceType, StartQueueError, VirtioDevice, read_config_bytes,
};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::queue::{Queue, QueueState};

/// Descriptors of the control queue.
const CONTROL_QUEUE_SIZE: u16 = 64;

/// Why a card cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NewNetError {
    /// There is no queue of a backend, or more than a card can have (VIRTIO 1.3, 5.1.6.5.5).
    #[error("a network card needs 1 to 32768 queues of a backend, not {0}")]
    Pairs(usize),
    /// There is no event loop to run it.
    #[error("no event loop for a network card")]
    NoLoop,
    /// A timer cannot be had.
    #[error("failed to create the timers of a network card")]
    Timer(#[source] io::Error),
    /// An event loop has ended.
    #[error("failed to give a network card to its event loop")]
    EventLoop(#[source] LoopGone),
}

/// A network card.
pub struct Net {
    config: NetConfig,
    features: u64,
    queue_sizes: Vec<u16>,
    visible: Arc<Visible>,
    link: Arc<Link>,
    pairs: Vec<Remote<PairHandler>>,
    control: Remote<ControlHandler>,
    rx_limiter: Arc<SharedLimiter>,
    tx_limiter: Arc<SharedLimiter>,
    metrics: Arc<NetMetrics>,
    activation: Option<Activation>,
}

impl Net {
    /// A card with a queue pair for each element of `backends`, the queues of one interface. The
    /// pairs are spread over `loops`; the control queue is on the first.
    pub fn new(
        config: NetConfig,
        backends: Vec<Arc<dyn NetBackend>>,
        detour: Option<Arc<dyn Detour>>,
        loops: &[LoopHandle],
    ) -> Result<Self, NewNetError> {
        let supported = backends.first().map(|b| b.supported_offloads());
        let supported = supported.filter(|_| backends.len() <= 32768);
        let supported = supported.ok_or(NewNetError::Pairs(backends.len()))?;
        let first_loop = loops.first().ok_or(NewNetError::NoLoop)?;
        let metrics = Arc::<NetMetrics>::default();
        let rx_limiter = Arc::new(SharedLimiter::new(config.rx_limiter));
        let tx_limiter = Arc::new(SharedLimiter::new(config.tx_limiter));
        let link = Arc::<Link>::default();
        link.set_alive(backends.iter().all(|backend| backend.is_plugged_in()));
        let mut pairs = Vec::with_capacity(backends.len());
        for (backend, event_loop) in backends.into_iter().zip(loops.iter().cycle()) {
            let port = Port {
                backend,
                detour: detour.clone(),
                link: Arc::clone(&link),
                metrics: Arc::clone(&metrics),
                rx_limiter: Arc::clone(&rx_limiter),
                tx_limiter: Arc::clone(&tx_limiter),
            };
            let handler = PairHandler::new(port).map_err(NewNetError::Timer)?;
            pairs.push(event_loop.add(handler).map_err(NewNetError::EventLoop)?);
        }
        let visible = Arc::<Visible>::default();
        visible.set_mac(config.mac);
        let handler = ControlHandler::new(
            Arc::clone(&visible),
            Arc::clone(&metrics),
            pairs.clone(),
            config.mtu,
        );
        let control = first_loop.add(handler).map_err(NewNetError::EventLoop)?;
        let this = control.clone();
        control.cast(move |handler, _| handler.set_this(this)).map_err(NewNetError::EventLoop)?;
        let mut queue_sizes = vec![config.queue_size; 2 * pairs.len()];
        queue_sizes.push(CONTROL_QUEUE_SIZE);
        Ok(Self {
            features: config::features(&config, pairs.len(), supported),
            config,
            queue_sizes,
            visible,
            link,
            pairs,
            control,
            rx_limiter,
            tx_limiter,
            metrics,
            activation: None,
        })
    }

    /// What is counted, beside the counters of the queues.
    pub fn metrics(&self) -> &Arc<NetMetrics> {
        &self.metrics
    }

    /// The card's address now: the driver may have changed it.
    pub fn mac(&self) -> Option<MacAddress> {
        self.visible.mac()
    }

    /// Changes the limit of what the guest receives.
    pub fn update_rx_limiter(&self, update: LimiterUpdate) {
        self.rx_limiter.update(update);
        self.look_again();
    }

    /// Changes the limit of what the guest sends.
    pub fn update_tx_limiter(&self, update: LimiterUpdate) {
        self.tx_limiter.update(update);
        self.look_again();
    }

    fn look_again(&self) {
        for pair in &self.pairs {
            // A loop that has ended waits for nothing.
            let _ = pair.cast(|handler, cx| handler.look_again(cx));
        }
    }

    /// Plugs the cable or pulls it, and tells the driver. While it is out, frames are lost.
    pub fn set_link(&self, up: bool) {
        self.link.set_plugged_in(up);
        for pair in &self.pairs {
            let _ = pair.cast(move |handler, cx| handler.set_link(up, cx));
        }
    }

    /// Asks the driver to announce the guest's addresses on the network, which has changed under
    /// it (VIRTIO 1.3, 5.1.6.5.4). Returns whether the driver can.
    pub fn announce(&self) -> bool {
        let able = self.activation.as_ref().filter(|a| a.has(VIRTIO_NET_F_GUEST_ANNOUNCE));
        if let Some(activation) = able {
            self.visible.set_status(VIRTIO_NET_S_ANNOUNCE, true);
            activation.interrupt.config_changed();
        }
        able.is_some()
    }

    /// Index of the control queue: after the pairs that the driver knows of (VIRTIO 1.3, 5.1.2).
    fn control_index(&self) -> u16 {
        let several = self.activation.as_ref().is_some_and(|a| a.has(VIRTIO_NET_F_MQ));
        let pairs = if several { self.pairs.len() } else { 1 };
        2 * pairs as u16
    }

    fn pair(&self, index: u16) -> Option<&Remote<PairHandler>> {
        self.pairs.get(usize::from(index / 2))
    }

    /// Brings the back to the state of a driver that begins with `features`.
    fn begin(&self, features: u64) {
        let offloads = guest_offloads(features);
        let mergeable = features & (1 << VIRTIO_NET_F_MRG_RXBUF) != 0;
        let mode = RxMode { mergeable, largest: largest_frame(self.config.mtu, offloads) };
        for (index, pair) in self.pairs.iter().enumerate() {
            // One pair is in use until the driver asks for more (VIRTIO 1.3, 5.1.6.5.5).
            let _ = pair.cast(move |handler, cx| handler.begin(index == 0, mode, offloads, cx));
        }
        // After the pairs' own messages, so that its filter holds.
        let _ = self.control.cast(move |handler, _| handler.begin(features, mode));
    }
}

impl VirtioDevice for Net {
    fn device_type(&self) -> DeviceType {
        DeviceType::Net
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let link = if self.link.is_up() { VIRTIO_NET_S_LINK_UP as u16 } else { 0 };
        let (mac, status) = (self.visible.mac(), self.visible.status() | link);
        let space = config::config_space(&self.config, mac, status, self.pairs.len() as u16);
        read_config_bytes(&space, offset, data);
    }

    fn activate(&mut self, activation: Activation) {
        self.link.set_interrupt(Some(Arc::clone(&activation.interrupt)));
        self.begin(activation.features);
        self.activation = Some(activation);
    }

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        let index = queue.index();
        if index == self.control_index() {
            return self.control.start_queue(queue);
        }
        match self.pair(index) {
            Some(pair) => pair.start_queue(queue),
            None => Err(StartQueueError::Host {
                operation: "find a backend",
                index,
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        if index == self.control_index() {
            return self.control.stop_queue(index);
        }
        self.pair(index)?.stop_queue(index)
    }

    fn reset(&mut self) {
        self.activation = None;
        self.link.set_interrupt(None);
        self.visible.set_mac(self.config.mac);
        self.visible.set_status(VIRTIO_NET_S_ANNOUNCE, false);
        self.begin(0);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for pair in self.pairs.drain(..) {
            pair.remove();
        }
        self.control.clone().remove();
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("config", &self.config).field("mac", &self.mac()).finish()
    }
}
