import torch

torch.set_num_threads(1)  # the tensors are small: on a busy machine more threads wait for each other
