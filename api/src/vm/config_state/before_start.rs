//! Requests before the guest starts.

use vm_spec::{MAX_CMDLINE, MAX_VCPUS, Machine};

use super::host::Host;
use super::objects::{Objects, path, stream};
use super::operation::{Change, Operation, Step};
use super::{Config, ConfigState};
use crate::vm::wire::{
    ActionType, Balloon, BootSource, InstanceState, MachineConfigurationUpdate, SerialDevice,
    StaticCpuTemplate,
};
use crate::vm::{VmFault, VmRequest, VmResponse};

impl ConfigState {
    pub(super) fn handle_before_start(
        &mut self,
        request: VmRequest,
        host: &mut dyn Host,
    ) -> Result<Step, VmFault> {
        match request {
            VmRequest::Action(ActionType::InstanceStart) => return self.start(host),
            VmRequest::PutLogger(logger) => {
                host.set_logger(&logger).map_err(|error| {
                    VmFault::Logger(format!("Failed to open target file: {error}"))
                })?;
            }
            VmRequest::PutMetrics(metrics) => {
                host.set_metrics(&metrics).map_err(|error| {
                    VmFault::Metrics(format!(
                        "Cannot initialize the metrics system due to bad user input: {error}"
                    ))
                })?;
            }
            VmRequest::PutSpec(spec) => {
                super::spec::open_all(&spec, host)?;
                self.config = Config::Spec(spec);
            }
            VmRequest::GetBalloon => {
                let balloon = self
                    .full_config()
                    .balloon
                    .ok_or_else(|| VmFault::BalloonConfig("No balloon device found.".into()))?;
                return Ok(Step::Reply(VmResponse::Balloon(balloon)));
            }
            other => match &mut self.config {
                Config::Objects(objects) => objects.put(other, host)?,
                Config::Spec(_) => return Err(refused_after_spec(&other)),
            },
        }
        Ok(Step::Reply(VmResponse::Empty))
    }

    fn start(&self, host: &dyn Host) -> Result<Step, VmFault> {
        if let Config::Objects(objects) = &self.config {
            objects.check_template(host)?;
        }
        let machine =
            Machine::try_from(self.spec()?).map_err(|error| VmFault::Start(error.to_string()))?;
        let operation = Operation::Start(Box::new(machine));
        Ok(Step::operate(operation, Change::State(InstanceState::Running)))
    }
}

/// Why a request is refused once the machine was configured as a whole.
fn refused_after_spec(request: &VmRequest) -> VmFault {
    if needs_guest(request) {
        return VmFault::BeforeStart;
    }
    VmFault::Spec("the machine was configured as a whole, put the changed document instead".into())
}

fn needs_guest(request: &VmRequest) -> bool {
    matches!(
        request,
        VmRequest::Action(ActionType::FlushMetrics | ActionType::SendCtrlAltDel)
            | VmRequest::Pause
            | VmRequest::Resume
            | VmRequest::PowerButton
            | VmRequest::AttachConsole(_)
            | VmRequest::PatchDrive(_)
            | VmRequest::DeleteDrive(_)
            | VmRequest::PatchNetworkInterface(_)
            | VmRequest::DeleteNetworkInterface(_)
            | VmRequest::SetLink { .. }
            | VmRequest::PatchBalloon(_)
            | VmRequest::GetBalloonStats
            | VmRequest::PatchBalloonStats(_)
            | VmRequest::StartBalloonHinting(_)
            | VmRequest::GetBalloonHinting
            | VmRequest::StopBalloonHinting
    )
}

impl Objects {
    fn put(&mut self, request: VmRequest, host: &mut dyn Host) -> Result<(), VmFault> {
        if needs_guest(&request) {
            return Err(VmFault::BeforeStart);
        }
        match request {
            VmRequest::PutBootSource(boot) => self.put_boot_source(boot, host),
            VmRequest::UpdateMachineConfig(update) => self.update_machine(update),
            VmRequest::PutCpuConfig(cpu) => {
                self.machine.cpu_template = None;
                self.cpu = Some(cpu);
                Ok(())
            }
            VmRequest::PutDrive(drive) => self.put_drive(drive, host),
            VmRequest::PutNetworkInterface(interface) => self.put_interface(interface, host),
            VmRequest::PutVsock(vsock) => self.put_vsock(vsock, host),
            VmRequest::PutBalloon(balloon) => self.put_balloon(balloon),
            VmRequest::PutEntropy(entropy) => {
                self.entropy = Some(entropy);
                Ok(())
            }
            VmRequest::PutSerial(serial) => self.put_serial(serial, host),
            VmRequest::PutMmdsConfig(config) => self.put_mmds_config(config),
            // All others were answered before.
            other => Err(VmFault::NotAvailable(other.name())),
        }
    }

    fn put_boot_source(&mut self, boot: BootSource, host: &mut dyn Host) -> Result<(), VmFault> {
        host.open_kernel(path(&boot.kernel_image_path)).map_err(|error| {
            VmFault::BootSource(format!("The kernel file cannot be opened: {error}"))
        })?;
        host.open_initrd(boot.initrd_path.as_deref().map(path)).map_err(|error| {
            VmFault::BootSource(format!(
                "The initrd file cannot be opened due to invalid path or invalid permissions. \
                 {error}"
            ))
        })?;
        let invalid =
            |what: &str| VmFault::BootSource(format!("The kernel command line is invalid: {what}"));
        let cmdline = Self::cmdline(&boot);
        if !cmdline.chars().all(|c| matches!(c, ' '..='~')) {
            return Err(invalid("String contains a non-printable ASCII character."));
        }
        if cmdline.len() > MAX_CMDLINE {
            return Err(invalid("Inserting string would make command line too long."));
        }
        self.boot = Some(boot);
        Ok(())
    }

    fn update_machine(&mut self, update: MachineConfigurationUpdate) -> Result<(), VmFault> {
        let fault = |text: &str| Err(VmFault::MachineConfig(text.to_owned()));
        let mut machine = self.machine;
        machine.vcpu_count = update.vcpu_count.unwrap_or(machine.vcpu_count);
        machine.mem_size_mib = update.mem_size_mib.unwrap_or(machine.mem_size_mib);
        machine.smt = update.smt.unwrap_or(machine.smt);
        machine.track_dirty_pages = update.track_dirty_pages.unwrap_or(machine.track_dirty_pages);
        machine.huge_pages = update.huge_pages.unwrap_or(machine.huge_pages);
        let count = machine.vcpu_count;
        if !(1..=MAX_VCPUS).contains(&count)
            || (machine.smt && count > 1 && !count.is_multiple_of(2))
        {
            return fault(
                "The number of vCPUs must be greater than 0, less than 255 and must be 1 or an \
                 even number if SMT is enabled.",
            );
        }
        let memory = machine.mem_size_mib;
        if memory == 0 || !memory.is_multiple_of(machine.huge_pages.granule_mib()) {
            return fault(
                "The memory size (MiB) is either 0, or not a multiple of the configured page size.",
            );
        }
        if self.balloon.is_some_and(|balloon| u64::from(balloon.amount_mib) > memory) {
            return fault(
                "The memory size (MiB) is smaller than the previously set balloon device target \
                 size.",
            );
        }
        if let Some(template) = update.cpu_template {
            // One replaces the other, and `None` takes both away.
            self.cpu = None;
            machine.cpu_template = (template != StaticCpuTemplate::None).then_some(template);
        }
        self.machine = machine;
        Ok(())
    }

    fn put_balloon(&mut self, balloon: Balloon) -> Result<(), VmFault> {
        if u64::from(balloon.amount_mib) > self.machine.mem_size_mib {
            return Err(VmFault::BalloonConfig("Amount of pages requested is too large.".into()));
        }
        self.balloon = Some(balloon);
        Ok(())
    }

    fn put_serial(&mut self, serial: SerialDevice, host: &mut dyn Host) -> Result<(), VmFault> {
        let old = self.serial_stream();
        let new = stream(&serial);
        if new != old {
            host.open_stream(&new).map_err(|error| {
                VmFault::Internal(format!("Cannot open the serial port's output: {error}"))
            })?;
            host.close_stream(&old);
        }
        self.serial = serial;
        Ok(())
    }
}
