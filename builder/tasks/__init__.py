"""What the models are for, as scored tasks: the gate holds an artifact's mean score against the fp32 reference's."""
