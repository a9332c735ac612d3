"""What only one or two lessons show: drawings, memory tasks, the GRU by hand, the gate explorer."""
