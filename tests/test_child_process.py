import multiprocessing
import os
import signal
import time

from mmi_agent.child_process import deaf_to_ctrl_c


def test_a_child_does_not_hear_of_ctrl_c_even_while_it_loads() -> None:
    with deaf_to_ctrl_c():
        child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0.2,))
        child.start()
    assert child.pid
    while child.is_alive():
        os.kill(child.pid, signal.SIGINT)
        time.sleep(0.01)
    assert child.exitcode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
