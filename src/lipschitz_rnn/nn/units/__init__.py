"""The recurrent units that the Lipschitz RNN is compared with, one file each."""
