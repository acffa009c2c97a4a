"""The methods of `StudentNER` that save a student and publish it on the hub."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from gliner_distill.errors import InputError
from gliner_distill.hub.card_files import COUNTED_FILE, write_card
from gliner_distill.hub.ids import public_name
from gliner_distill.hub.uploads import PushOptions, push_student
from gliner_distill.runtime.bundle import EXPORT_FILES, Bundle, read_bundle, write_bundle
from gliner_distill.runtime.config import CONFIG_FILE, GRAPH_FILE, TORCH_WEIGHTS_FILE
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.gliner_api.keywords import check_publishing_keywords
from gliner_distill.runtime.memory import DEFAULT_MEMORY, MemoryPlan
from gliner_distill.runtime.sharing.cards import at_place, card_of

_PUSHED_FILES: Final = (*EXPORT_FILES, COUNTED_FILE)
_OWN_FILES: Final = frozenset((*_PUSHED_FILES, TORCH_WEIGHTS_FILE, GRAPH_FILE))


class SharedStudent:
    """A student that can be saved and published.

    Attributes:
        _finder: The loaded student.
    """

    _finder: EntityFinder

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        config: object = None,
        safe_serialization: bool = True,
        **push_keywords: Any,
    ) -> str | None:
        """Write this student's files, with its thresholds and its card, for `from_pretrained`.

        The card is the one that the student was loaded with, or else a short one. If the folder has
        a card whose text or metadata was edited by hand, that part stays.

        Args:
            save_directory: The folder; it is created if it does not exist.
            repo_id: The name of the model for `push_to_hub`; None for that of the folder.
            push_to_hub: Whether to publish the student, too.
            config: Has no effect: the settings of a student belong to its files.
            safe_serialization: Has no effect: weights are always written as safetensors.
            push_keywords: Arguments of the method `push_to_hub`.

        Returns:
            The URL of the commit if the student is published.

        Raises:
            StudentError: The folder cannot be written.
            HubError: See `push_to_hub`.
        """
        check_publishing_keywords(push_keywords, self.push_to_hub, name="save_pretrained")
        folder = Path(save_directory)
        write_bundle(folder, self._finder.bundle)
        write_card(folder, card_of(self._finder.bundle, folder.resolve().name))
        if not push_to_hub:
            return None
        return self.push_to_hub(repo_id or folder.resolve().name, **push_keywords)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload a student",
        branch: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        **keywords: Any,
    ) -> str:
        """Publish this student and its card on the hub in one commit, and return its URL.

        The files are written and read back first, so that nothing broken is published. If the
        upload is cut off, an existing repository stays as it was. Where the text or the metadata of
        the card on the hub was edited by hand, that part stays.

        Args:
            repo_id: The model, as owner/name, or the name of a model of your own.
            private: Whether a new model is visible only to you; None for the owner's default.
            token: The token to upload with; None for the one that you are logged in with.
            commit_message: The message of the commit.
            branch: The branch to commit to, which is created if it does not exist; None for `main`.
            revision: The same as `branch`.
            create_pr: Whether to open a pull request instead of changing the branch.
            keywords: Other keywords of GLiNER's method, which must be empty or have no effect.

        Raises:
            HubError: The hub cannot be reached or refuses the upload, the repository holds another
                model, or it is public although it should be private.
            StudentError: The student cannot be written and read back.
            InputError: A keyword asks for something that a student cannot do.
        """
        check_publishing_keywords(keywords, self.push_to_hub)
        if branch is not None and revision is not None and branch != revision:
            raise InputError(
                f"branch is {branch!r}, but revision is {revision!r}; give only one of them"
            )
        return _push(
            self._finder.bundle,
            repo_id,
            PushOptions(
                private=private,
                token=token,
                commit_message=commit_message,
                branch=branch or revision,
                create_pr=bool(create_pr),
            ),
        )


def _push(bundle: Bundle, repo_id: str, options: PushOptions) -> str:
    # The paths of a user's machine are private.
    teacher = bundle.metadata.get("teacher")
    if isinstance(teacher, str):
        bundle = replace(bundle, metadata={**bundle.metadata, "teacher": public_name(teacher)})
    name = str(repo_id)
    card = at_place(card_of(bundle, name.rpartition("/")[2]), name)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_bundle(folder, bundle)
        write_card(folder, card)
        EntityFinder(read_bundle(folder), num_threads=1, plan=MemoryPlan.of(DEFAULT_MEMORY))
        contents = {file: (folder / file).read_bytes() for file in _PUSHED_FILES}
    return push_student(
        repo_id,
        contents,
        card,
        own_files=_OWN_FILES,
        settings_file=CONFIG_FILE,
        options=options,
    )
