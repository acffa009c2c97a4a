"""Run the experiment of Xu, Ma and Wang and report it."""
