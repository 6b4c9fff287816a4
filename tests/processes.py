"""Processes of JAX on this machine: one with several devices, or two that know each other."""

import os
import socket
import subprocess
import sys


def run(script, *arguments, flags=""):
    """A process on the CPU that compiles as the tests do; started, not waited for."""
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {flags}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run_on_devices(script, count, *arguments):
    """The output of a process with several devices, which must end well."""
    process = run(script, *arguments, flags=f"--xla_force_host_platform_device_count={count}")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error[-3000:]
    return out


def two_processes(script, *arguments):
    """Both ends of a job: return codes, outputs, errors. The script gets the address of the first, and its own number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [run(script, address, str(i), *arguments) for i in range(2)]
    try:
        ended = [process.communicate(timeout=200) for process in both]
    finally:
        for process in both:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(both, ended)]
